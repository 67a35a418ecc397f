import { readSafetensors, type SafetensorsEntry, type SafetensorsSource, writeSafetensors } from "@dfine/nn";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { says, thrown } from "../../test/badInput.ts";
import { freshState, presetModel, type State } from "../../test/checkpoints.ts";
import { tensorSource } from "../tensorFile.ts";
import { inputSizeOf } from "./inputSize.ts";
import { openCheckpoint } from "./open.ts";

const MARGIN = 0.01;
const logit = (value: number) => Math.log(value / (1 - value));

/** Anchors [tokens, 4] in double precision, straight from their definition. */
function anchors(height: number, width: number, strides: readonly number[]): number[] {
  return strides.flatMap((stride, level) => {
    const [rows, columns, side] = [height / stride, width / stride, 0.05 * 2 ** level];
    return Array.from({ length: rows * columns }, (_, cell) => {
      const [x, y] = [((cell % columns) + 0.5) / columns, (Math.floor(cell / columns) + 0.5) / rows];
      const isValid = [x, y, side].every((value) => value > MARGIN && value < 1 - MARGIN);
      return [x, y, side, side].map((value) => (isValid ? logit(value) : Number.POSITIVE_INFINITY));
    }).flat();
  });
}

const entry = (source: SafetensorsSource): SafetensorsEntry =>
  readSafetensors(writeSafetensors(new Map([["anchors", source]]))).entries.get("anchors")!;
const float32 = (values: readonly number[]) =>
  entry(tensorSource({ shape: [1, values.length / 4, 4], data: Float32Array.from(values) }));
/** The upper halves of float32. */
const brain = (values: readonly number[]): SafetensorsEntry => {
  const bits = new Uint16Array(Float32Array.from(values).buffer).filter((_, i) => i % 2 === 1);
  return { ...float32(values), dtype: "BF16", bytes: new Uint8Array(bits.buffer) };
};

describe("the input size is told from the anchors", () => {
  const side = fc.integer({ min: 1, max: 40 }).map((count) => 32 * count);

  test("whatever its shape, with two levels and three, in 32 bits and in 16", () => {
    fc.assert(
      fc.property(side, side, fc.constantFrom([8, 16, 32], [16, 32]), (height, width, strides) => {
        const values = anchors(height, width, strides);
        expect(inputSizeOf(float32(values), strides)).toEqual([height, width]);
        expect(inputSizeOf(brain(values), strides)).toEqual([height, width]);
      }),
      {
        numRuns: 60,
        examples: [
          [192, 416, [16, 32]],
          [416, 192, [16, 32]],
          [640, 640, [8, 16, 32]],
        ],
      },
    );
  });

  test("where no number is finite, from their count alone if that is a square's", () => {
    const none = (tokens: number) => float32(new Array<number>(4 * tokens).fill(Number.POSITIVE_INFINITY));
    expect(inputSizeOf(none(500), [16, 32])).toEqual([320, 320]);
    expect(inputSizeOf(none(390), [16, 32])).toBeUndefined();
  });

  test("but not from those that are no grid, or of another shape", () => {
    const values = anchors(192, 416, [16, 32]);
    expect(inputSizeOf(float32(values.slice(4)), [16, 32])).toBeUndefined();
    expect(inputSizeOf(float32([...values].reverse()), [16, 32])).toBeUndefined();
    expect(inputSizeOf(float32(values), [8, 16])).toBeUndefined();
  });
});

test("weights of a wide input are of that input; where it cannot be told, it must be given", async () => {
  const wide = { ...presetModel("n", ["a"]), evalSize: [192, 416] as [number, number] };
  const file = (state: State) => writeSafetensors(new Map([...state].map(([name, one]) => [name, tensorSource(one)])));
  const state = await freshState(wide);
  expect(openCheckpoint(file(state)).model).toMatchObject({ evalSize: [192, 416] });
  const shape = [1, 389, 4];
  state.set("decoder.anchors", { shape, data: state.get("decoder.anchors")!.data.slice(0, 389 * 4) as Float32Array });
  says("weights-size-unknown", await thrown(() => openCheckpoint(file(state), { file: "x" })));
  expect(openCheckpoint(file(state), { size: [192, 416] }).model.evalSize).toEqual([192, 416]);
});
