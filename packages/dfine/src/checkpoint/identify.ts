import { compareState, isDerived, type SafetensorsEntry } from "@dfine/nn";
import { type MetaOptions, OutOfMemoryError, sizeOf } from "@dfine/tensor";
import { type ModelConfig, PRESET_NAMES, type PresetName } from "../config/config.ts";
import { presetConfig } from "../config/presets.ts";
import { firstOf } from "../describe.ts";
import { ARCHITECTURES } from "../model/architectures.ts";
import type { FileFacts } from "./dfineFile.ts";
import { ModelFileError } from "./errors.ts";
import { onPaper } from "./onPaper.ts";

/** Tensors of a file by name; only names and shapes matter here. */
export type Shapes = ReadonlyMap<string, Pick<SafetensorsEntry, "shape">>;

/** A tensor of which file and configuration have different ideas. */
export interface Difference {
  readonly name: string;
  /** Undefined: the file lacks it. */
  readonly inFile: readonly number[] | undefined;
  readonly expected: readonly number[];
}

/**
 * Where a file has another architecture than a configuration. Tensors with a row per class are left aside, and what
 * follows from the configuration alone unless `derived` is set.
 * @throws OutOfMemoryError where the configuration's model is larger than `limits`
 */
export function architectureDifferences(
  shapes: Shapes,
  config: ModelConfig,
  { derived = false, ...limits }: MetaOptions & { readonly derived?: boolean } = {},
): Difference[] {
  return onPaper(
    config,
    (detector) => {
      const rows = detector.classTensors();
      const state = new Map([...detector.stateDict()].filter(([name]) => !rows.has(name)));
      const { missing, mismatched } = compareState(state, shapes);
      const differing = new Set([...missing, ...mismatched]);
      return [...state].flatMap(([name, tensor]): Difference[] => {
        const [inFile, expected] = [shapes.get(name)?.shape, tensor.shape];
        const isOther = derived && isDerived(tensor) && inFile && inFile.join() !== expected.join();
        return differing.has(name) || isOther ? [{ name, inFile, expected }] : [];
      });
    },
    limits,
  );
}

const sizes = (shape: readonly number[]): string => `[${shape.join(", ")}]`;

const differenceText = ({ name, inFile, expected }: Difference): string =>
  `${name} (${inFile ? sizes(inFile) : "missing"} in the file, ${sizes(expected)} in the preset)`;

const presetModel = (preset: PresetName): ModelConfig => presetConfig(preset, "coco").model;

/** How many tensors of a file a model has a place for. */
const fitting = (shapes: Shapes, model: ModelConfig): number =>
  onPaper(model, (detector) => {
    const state = detector.stateDict();
    return [...shapes].filter(([name, { shape }]) => state.get(name)?.shape.join() === shape.join()).length;
  });

/** The preset that a file's tensors are of. @throws ModelFileError telling how it differs from the closest one */
export function presetOf(shapes: Shapes, file: string): PresetName {
  let closest: { preset: PresetName; found: Difference[]; alike: number } | undefined;
  for (const preset of PRESET_NAMES) {
    const model = presetModel(preset);
    const found = architectureDifferences(shapes, model);
    if (found.length === 0) return preset;
    const alike = fitting(shapes, model);
    if (!closest || alike > closest.alike) closest = { preset, found, alike };
  }
  const { preset, found } = closest!;
  throw new ModelFileError(
    `${file}: its ${shapes.size} tensors are of none of the presets ${PRESET_NAMES.join(", ")}; ` +
      `${preset} comes closest, but differs in ${firstOf(found.map(differenceText))}. ` +
      "Give weights of one of them in their training form, complete",
  );
}

/** How many classes the heads of a preset's weights have. @throws ModelFileError where there is no head */
export function classCount(shapes: Shapes, { preset, file }: { preset: PresetName; file: string }): number {
  const heads = [...onPaper(presetModel(preset), (detector) => detector.classTensors())];
  const counts = heads
    .filter(([, { optional }]) => !optional)
    .map(([name, { extra }]) => ({ name, rows: shapes.get(name)?.shape[0], extra }));
  const broken = counts.find(({ rows }) => !rows);
  const [first] = counts;
  if (first?.rows && !broken) return first.rows - first.extra;
  throw new ModelFileError(
    `${file}: its tensor ${broken?.name} is ${broken?.rows === undefined ? "missing" : "empty"}, so the classes cannot be counted; give weights with their heads`,
  );
}

/** A preset's model as a file's tensors have it. @throws ModelFileError where they do not tell the input size, nor `size` */
export function modelOf(
  entries: ReadonlyMap<string, SafetensorsEntry>,
  { preset, classes, ...about }: FileFacts & { readonly preset: PresetName; readonly classes: readonly string[] },
): ModelConfig {
  return ARCHITECTURES.plan({ ...presetModel(preset), classes: [...classes] }).ofFile(entries, about);
}

/** How much larger than its file a described model may be: files lack counters, and anchors of another size. */
const ROOM = { tensors: 64, elements: 65536 };

export const valuesIn = (shapes: Shapes): number =>
  [...shapes.values()].reduce((sum, { shape }) => sum + sizeOf(shape), 0);

/**
 * What of a description is not so in the file beside it, or undefined. Nothing large is made of it, whatever it says.
 */
export function descriptionProblem(shapes: Shapes, model: ModelConfig): string | undefined {
  const [broken] = ARCHITECTURES.plan(model).problems();
  if (broken !== undefined) return broken;
  const limits = {
    buffers: 2 * shapes.size + ROOM.tensors,
    elements: 2 * valuesIn(shapes) + ROOM.elements,
  };
  try {
    const [difference] = architectureDifferences(shapes, model, { derived: true, ...limits });
    if (!difference) return undefined;
    const { name, inFile, expected } = difference;
    return `${name} should be [${expected}], but is ${inFile ? `[${inFile}]` : "missing"}`;
  } catch (error) {
    if (error instanceof OutOfMemoryError) return `that has ${error.facts}`;
    // Lists of more parts than a list can have.
    if (error instanceof RangeError) return "that has too many parts";
    throw error;
  }
}
