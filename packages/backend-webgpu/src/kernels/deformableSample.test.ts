import { deformableSample, gradients, type Tensor, type TypedArray } from "@dfine/tensor";
import { afterAll, describe, expect, it } from "vitest";
import {
  DEFORMABLE_RESULTS,
  type DeformableCase,
  type DeformableData,
  deformableData,
  deformableProperties,
  deformableShapes,
} from "../../../tensor/test/deformableProperties.ts";
import { bothKinds, evaluate, exact, f32, type Input } from "../../test/opKit.ts";

const kinds = await bothKinds();
afterAll(() => {
  for (const [, backend] of kinds) backend.dispose();
});

const EPSILON = 2 ** -23;

/** Locations are multiples of 1/256, so that every arithmetic finds the same pixels. */
function dataFor(test: DeformableCase): DeformableData {
  const data = deformableData(test);
  return { ...data, locations: data.locations.map((x) => Math.round(x * 256) / 256) };
}

function inputsOf(test: DeformableCase, data: DeformableData): Input[] {
  const shapes = deformableShapes(test);
  return (["value", "locations", "weights", "dy"] as const).map((name) => f32(data[name], shapes[name]));
}

const runFor =
  ({ attrs }: DeformableCase) =>
  ([value, locations, weights, dy]: readonly Tensor[]): Tensor[] => {
    const sample = ([v, l, w]: readonly Tensor[]): Tensor =>
      deformableSample({ value: v!, locations: l!, weights: w! }, attrs);
    const inputs = [value!, locations!, weights!];
    return [sample(inputs), ...gradients(sample, { inputs, dy: dy! })];
  };

describe.each(kinds)("%s", (_, backend) => {
  async function check(test: DeformableCase, change: (data: DeformableData) => void = () => {}): Promise<void> {
    const data = dataFor(test);
    change(data);
    const run = runFor(test);
    const expected = await evaluate(exact, inputsOf(test, data), run);
    const got = await evaluate(backend, inputsOf(test, data), run);
    // Shares lie in 0…1, so that the sums over absolute values bound every term.
    const sizes = Object.fromEntries(Object.entries(data).map(([name, array]) => [name, array.map(Math.abs)]));
    const bounds = await evaluate(exact, inputsOf(test, { ...data, ...sizes, locations: data.locations }), run);
    const largest = Math.max(...test.attrs.levels.flatMap(({ width, height }) => [width, height]));
    for (const [o, name] of DEFORMABLE_RESULTS.entries()) {
      const slopes = 4 * test.depth * largest;
      for (const [i, want] of expected[o]!.entries()) {
        const allowed = 8 * EPSILON * (name === "dLocations" ? slopes : bounds[o]![i]!);
        const actual = got[o]![i]!;
        if (!Object.is(actual, want) && !(Math.abs(actual - want) <= allowed))
          expect.fail(`${name} ${i}: ${actual}, expected ${want} ± ${allowed}`);
      }
    }
  }

  describe.each(["bilinear", "discrete"] as const)("%s", (method) => {
    deformableProperties(method, check, { runs: 15 });

    it("NaN in a value reaches only who samples it", async () => {
      const levels = [{ height: 3, width: 4, points: 1 }];
      const test: DeformableCase = { images: 1, queries: 3, heads: 1, depth: 4, attrs: { method, levels } };
      const data = dataFor(test);
      data.locations.set([0.25, 0.375, 0.875, 0.375, -9, 0.375]);
      data.value[5 * 4 + 2] = Number.NaN;
      const [y, dValue, , dWeights] = await evaluate(backend, inputsOf(test, data), runFor(test));
      expect(Array.from(y!, Number.isNaN)).toEqual(Array.from(y!, (__, i) => i === 2));
      expect(Array.from(dWeights!, Number.isNaN)).toEqual([true, false, false]);
      expect(dValue!.every(Number.isFinite)).toBe(true);
    });

    it("a location of NaN touches its query only, and nothing outside the map", async () => {
      const levels = [{ height: 3, width: 4, points: 2 }];
      const test: DeformableCase = { images: 1, queries: 2, heads: 2, depth: 4, attrs: { method, levels } };
      const data = dataFor(test);
      data.locations[0] = Number.NaN;
      const [y] = await evaluate(backend, inputsOf(test, data), runFor(test));
      data.locations[0] = 0;
      const [without] = await evaluate(backend, inputsOf(test, data), runFor(test));
      expect(y!.slice(4)).toEqual(without!.slice(4));
      if (method === "bilinear") expect([...y!.slice(0, 4)]).toEqual([Number.NaN, Number.NaN, Number.NaN, Number.NaN]);
    });

    it("gives the same bits on every run, whatever thread comes first", async () => {
      const levels = [{ height: 5, width: 5, points: 4 }];
      const test: DeformableCase = { images: 2, queries: 300, heads: 2, depth: 8, attrs: { method, levels } };
      const inputs = inputsOf(test, dataFor(test));
      const runs: TypedArray[][] = [];
      for (let i = 0; i < 3; i++) runs.push(await evaluate(backend, inputs, runFor(test)));
      expect(runs[1]).toEqual(runs[0]);
      expect(runs[2]).toEqual(runs[0]);
    });
  });

  it("compiles nothing for other sizes", async () => {
    const caseFor = (n: number): DeformableCase => ({
      ...{ images: n, queries: 3 * n, heads: n, depth: 4 * n },
      attrs: { method: "bilinear", levels: [3, 4, 5].map((k) => ({ height: k * n, width: k + n, points: n })) },
    });
    await check(caseFor(1));
    const { pipelines } = backend.counters;
    await check(caseFor(2));
    expect(backend.counters.pipelines).toBe(pipelines);
  });
});
