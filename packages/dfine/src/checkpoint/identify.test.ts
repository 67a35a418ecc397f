import { readSafetensors, type SafetensorsEntry, writeSafetensors } from "@dfine/nn";
import { metaBackend, withBackend } from "@dfine/tensor";
import { expect, test } from "vitest";
import { freshState, presetModel, type State } from "../../test/checkpoints.ts";
import { DETR_PRESET_NAMES, PRESET_NAMES, type PresetName } from "../config/config.ts";
import { buildDetector } from "../model/architectures.ts";
import { tensorSource } from "../tensorFile.ts";
import { architectureDifferences, classCount, modelOf, presetOf } from "./identify.ts";

const entriesOf = (state: State): ReadonlyMap<string, SafetensorsEntry> =>
  readSafetensors(writeSafetensors(new Map([...state].map(([name, value]) => [name, tensorSource(value)])))).entries;

/** Tensors of a preset without their numbers. */
const shapesOf = (preset: PresetName): ReadonlyMap<string, { shape: readonly number[] }> =>
  withBackend(metaBackend(), () => {
    using model = buildDetector(presetModel(preset, ["a", "b"]));
    return new Map([...model.stateDict()].map(([name, { shape }]) => [name, { shape }]));
  });

test.each(["n", "s", "m", ...DETR_PRESET_NAMES] as const)(
  "preset %s is told from its shapes, and from no other",
  (preset) => {
    const shapes = shapesOf(preset);
    expect(presetOf(shapes, "x")).toBe(preset);
    expect(classCount(shapes, { preset, file: "x" })).toBe(2);
    const fitting = PRESET_NAMES.filter(
      (name) => architectureDifferences(shapes, presetModel(name, ["a"])).length === 0,
    );
    expect(fitting).toEqual([preset]);
  },
);

test("the input size is that of the anchors", async () => {
  const model = presetModel("n", ["a", "b"], 416);
  expect(modelOf(entriesOf(await freshState(model)), { preset: "n", classes: ["a", "b"], file: "x" })).toEqual(model);
  const state = await freshState(model);
  state.delete("decoder.anchors");
  expect(modelOf(entriesOf(state), { preset: "n", classes: ["a"], file: "x" }).evalSize).toEqual([640, 640]);
});

test("constants and sampling points are the file's, but for rounding", async () => {
  const state = await freshState(presetModel("n", ["a"]));
  const scales = (points: readonly number[]) =>
    Float32Array.from(points.flatMap((count) => new Array<number>(count).fill(1 / count)));
  const with_ = (up: number, regScale: number, points: readonly number[]) =>
    modelOf(
      entriesOf(
        new Map([
          ...state,
          ["decoder.up", { shape: [1], data: Float32Array.of(up) }],
          ["decoder.reg_scale", { shape: [1], data: Float32Array.of(regScale) }],
          ["decoder.decoder.layers.0.cross_attn.num_points_scale", { shape: [12], data: scales(points) }],
        ]),
      ),
      { preset: "n", classes: ["a"], file: "x" },
    ).decoder;
  expect(with_(0.50000006, 4.0000005, [6, 6])).toMatchObject({ up: 0.5, regScale: 4, points: [6, 6] });
  expect(with_(0.25, 6, [4, 8])).toMatchObject({ up: 0.25, regScale: 6, points: [4, 8] });
  expect(with_(Number.NaN, 0, [12])).toMatchObject({ up: 0.5, regScale: 4, points: [6, 6] });
});
