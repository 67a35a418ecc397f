import { type HostTensor, isDerived, type LoadReport, readNamed, type SafetensorsEntry } from "@dfine/nn";
import { type Shape, sameShape, type Tensor, type TypedArray } from "@dfine/tensor";
import { firstOf } from "../describe.ts";
import type { Detector } from "../model/detector.ts";
import { hostTensor } from "../tensorFile.ts";
import { withoutAliases } from "./aliases.ts";
import { areAnonymous } from "./classNames.ts";
import { ModelFileError } from "./errors.ts";
import { objects365Pairs } from "./objects365.ts";
import type { Checkpoint } from "./open.ts";
import type { WeightSet } from "./pth.ts";

/**
 * What became of a tensor that could not simply be loaded. "rows": rows of known classes are the file's, the others as
 * initialised; "unused": the model has no place for it.
 */
export interface TensorChange {
  readonly name: string;
  readonly fate: "initialised" | "rows" | "unused";
  /** Undefined: the file lacks it. */
  readonly inFile: readonly number[] | undefined;
  /** Undefined: the model lacks it. */
  readonly inModel: readonly number[] | undefined;
}

/** How a file's weights came into a model. */
export interface FitReport {
  readonly file: string;
  readonly chosen: WeightSet;
  /** Tensors of the model that are the file's, whole. */
  readonly loaded: number;
  readonly changes: readonly TensorChange[];
  readonly fileClasses: readonly string[];
  readonly modelClasses: readonly string[];
  /** Classes of the model whose rows are the file's, where some are not. */
  readonly kept: readonly string[];
  /** One side has no class names, and the other's are taken to be in the same order. */
  readonly byOrder: boolean;
}

/**
 * Loads a checkpoint into a model that is initialised. Where the classes are others, the tensors with a row per class keep
 * the rows of classes that both sides name, or that Objects365 and COCO share, and stay as initialised otherwise. Everything
 * else has to fit.
 * @throws ModelFileError listing what does not
 */
export async function loadCheckpoint(model: Detector, checkpoint: Checkpoint): Promise<FitReport> {
  const { file, chosen } = checkpoint;
  const entries = withoutAliases(checkpoint, model.aliases());
  const [fileClasses, modelClasses] = [checkpoint.model.classes, model.config.classes];
  const targets = model.stateDict();
  const rows = model.classTensors();
  const classes = matchClasses(fileClasses, modelClasses);
  const state = new Map<string, HostTensor>();
  const mixed = new Map<string, Tensor>();
  const changes: TensorChange[] = [];
  for (const [name, entry] of entries) {
    const target = targets.get(name);
    const { extra = 0, optional } = rows.get(name) ?? {};
    const counts = [fileClasses.length + extra, modelClasses.length + extra] as const;
    const other = !classes.same && rows.has(name) && target && rowsDiffer(entry.shape, target.shape, counts);
    const change = (fate: TensorChange["fate"]) =>
      changes.push({ name, fate, inFile: entry.shape, inModel: target?.shape });
    if (!target && optional) change("unused");
    else if (!other) state.set(name, fileTensor(entry, target));
    else if (classes.pairs.length === 0) change("initialised");
    else {
      change("rows");
      mixed.set(name, target);
    }
  }
  for (const [name, { optional }] of rows) {
    const target = targets.get(name);
    if (optional && target && !entries.has(name))
      changes.push({ name, fate: "initialised", inFile: undefined, inModel: target.shape });
  }
  for (const [name, fresh] of await readNamed(mixed))
    state.set(name, withRows(fresh, fileTensor(entries.get(name)!, targets.get(name)), classes.pairs));
  const changed = new Set(changes.map(({ name }) => name));
  const left = model.loadStateDict(state, { strict: false });
  const problems = { ...left, missing: left.missing.filter((name) => !changed.has(name)) };
  if (Object.values(problems).some((names) => names.length > 0))
    throw new ModelFileError(problemText(checkpoint, problems));
  return {
    ...{ file, chosen, changes, fileClasses, modelClasses },
    loaded: [...state.keys()].filter((name) => targets.has(name) && !changed.has(name)).length,
    kept: classes.same ? [] : classes.pairs.map(([, row]) => modelClasses[row]!),
    byOrder: classes.byOrder,
  };
}

interface ClassMatch {
  /** All rows are the file's. */
  readonly same: boolean;
  readonly byOrder: boolean;
  /** Rows of the file and of the model for the same classes. */
  readonly pairs: readonly (readonly [inFile: number, inModel: number])[];
}

function matchClasses(file: readonly string[], model: readonly string[]): ClassMatch {
  const equal = file.length === model.length && file.every((name, row) => name === model[row]);
  const unnamed = areAnonymous(file) || areAnonymous(model);
  const byOrder = !equal && unnamed && file.length === model.length;
  const rows = new Map(file.map((name, row) => [name, row]));
  const byName = model.flatMap((name, row) => {
    const inFile = unnamed ? undefined : rows.get(name);
    return inFile === undefined ? [] : [[inFile, row] as const];
  });
  return { same: equal || byOrder, byOrder, pairs: objects365Pairs(file, model) ?? byName };
}

/** Whether tensors are alike but for having a row for each of their own classes. */
const rowsDiffer = (inFile: Shape, inModel: Shape, classes: readonly [inFile: number, inModel: number]): boolean =>
  inFile[0] === classes[0] && inModel[0] === classes[1] && sameShape(inFile.slice(1), inModel.slice(1));

/** A tensor of the file, decoded when it is written into the model, so that no more is held than that. */
function fileTensor(entry: SafetensorsEntry, target: Tensor | undefined): HostTensor {
  return {
    shape: entry.shape,
    get data() {
      const { data: values } = hostTensor(entry);
      const data = target?.dtype === "f32" && values instanceof Int32Array ? Float32Array.from(values) : values;
      // Anchors outside the image are infinite by design.
      if (!(target && isDerived(target)) && !areFinite(data))
        throw new ModelFileError(
          `${entry.file}: its tensor ${entry.name} holds numbers that are not finite: the training they come from went wrong; use an earlier checkpoint`,
        );
      return data;
    },
  };
}

function areFinite(values: TypedArray): boolean {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i]!)) return false;
  return true;
}

function withRows(fresh: HostTensor, source: HostTensor, pairs: ClassMatch["pairs"]): HostTensor {
  const size = fresh.data.length / fresh.shape[0]!;
  const data = fresh.data.slice();
  const rows = source.data;
  for (const [from, to] of pairs) data.set(rows.subarray(from * size, (from + 1) * size), to * size);
  return { shape: fresh.shape, data };
}

const LISTED = 8;

function problemText({ file, preset, model }: Checkpoint, { missing, unexpected, mismatched }: LoadReport): string {
  const lists: [label: string, names: readonly string[]][] = [
    ["missing in the file", missing],
    ["unknown to the model", unexpected],
    ["of another shape", mismatched],
  ];
  const parts = lists.flatMap(([label, names]) => (names.length === 0 ? [] : [`${label}: ${firstOf(names, LISTED)}`]));
  return (
    `${file}: its weights (preset ${preset}, ${model.classes.length} classes) do not fit the model; ${parts.join("; ")}. ` +
    "Build the model with the file's own preset and settings, or give other weights"
  );
}
