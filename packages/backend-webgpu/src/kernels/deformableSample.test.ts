import { type DeformableSampleAttrs, deformableSample, gradients, type Tensor, type TypedArray } from "@dfine/tensor";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { numbers } from "../../../tensor/test/sums.ts";
import { bothKinds, evaluate, exact, f32, type Input } from "../../test/opKit.ts";

const kinds = await bothKinds();
afterAll(() => {
  for (const [, backend] of kinds) backend.dispose();
});

interface Case {
  readonly images: number;
  readonly queries: number;
  readonly heads: number;
  readonly depth: number;
  readonly attrs: DeformableSampleAttrs;
}

const OUTPUTS = ["y", "dValue", "dLocations", "dWeights"] as const;
const EPSILON = 2 ** -23;

const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

type Data = { [K in "value" | "locations" | "weights" | "dy"]: Float32Array };

function shapesOf({ images, queries, heads, depth, attrs: { levels } }: Case) {
  const length = levels.reduce((sum, { height, width }) => sum + height * width, 0);
  const points = levels.reduce((sum, level) => sum + level.points, 0);
  return {
    value: [images, length, heads, depth],
    locations: [images, queries, heads, points, 2],
    weights: [images, queries, heads, points],
    dy: [images, queries, heads * depth],
  };
}

/** Locations are multiples of 1/256, so that every arithmetic finds the same pixels; many lie on edges and outside. */
function dataFor(test: Case): Data {
  const shapes = shapesOf(test);
  return {
    value: numbers(size(shapes.value), 1),
    locations: numbers(size(shapes.locations), 2).map((x) => Math.round(128 + x * 230) / 256),
    weights: numbers(size(shapes.weights), 3),
    dy: numbers(size(shapes.dy), 4),
  };
}

function inputsOf(test: Case, data: Data): Input[] {
  const shapes = shapesOf(test);
  return (["value", "locations", "weights", "dy"] as const).map((name) => f32(data[name], shapes[name]));
}

const runFor =
  ({ attrs }: Case) =>
  ([value, locations, weights, dy]: readonly Tensor[]): Tensor[] => {
    const sample = ([v, l, w]: readonly Tensor[]): Tensor =>
      deformableSample({ value: v!, locations: l!, weights: w! }, attrs);
    const inputs = [value!, locations!, weights!];
    return [sample(inputs), ...gradients(sample, { inputs, dy: dy! })];
  };

describe.each(kinds)("deformableSample and its gradient, %s", (_, backend) => {
  async function check(test: Case, change: (data: Data) => void = () => {}): Promise<void> {
    const data = dataFor(test);
    change(data);
    const run = runFor(test);
    const expected = await evaluate(exact, inputsOf(test, data), run);
    const got = await evaluate(backend, inputsOf(test, data), run);
    // Shares lie in 0…1, so that the sums over absolute values bound every term.
    const sizes = Object.fromEntries(Object.entries(data).map(([name, array]) => [name, array.map(Math.abs)]));
    const bounds = await evaluate(exact, inputsOf(test, { ...data, ...sizes, locations: data.locations }), run);
    const largest = Math.max(...test.attrs.levels.flatMap(({ width, height }) => [width, height]));
    for (const [o, name] of OUTPUTS.entries()) {
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
    const oblong = [
      { height: 4, width: 7, points: 6 },
      { height: 2, width: 3, points: 6 },
    ];

    it.each([16, 32, 5, 1])("depth %i on two oblong levels", async (depth) => {
      await check({ images: 2, queries: 9, heads: 3, depth, attrs: { method, levels: oblong } });
    });

    it("any levels", async () => {
      const small = (max: number) => fc.integer({ min: 1, max });
      const level = fc.record({ height: small(6), width: small(6), points: small(4) });
      const cases = fc.record({
        images: small(2),
        queries: small(6),
        heads: small(3),
        depth: small(12),
        attrs: fc.record({ method: fc.constant(method), levels: fc.array(level, { minLength: 1, maxLength: 3 }) }),
      });
      await fc.assert(
        fc.asyncProperty(cases, (test) => check(test)),
        { numRuns: 15 },
      );
    });

    it("all points in one spot", async () => {
      const test = { images: 1, queries: 70, heads: 2, depth: 4, attrs: { method, levels: oblong } };
      await check(test, ({ locations }) => locations.fill(0.5));
    });

    it("far away locations read nothing outside the maps", async () => {
      const levels = [{ height: 3, width: 4, points: 5 }];
      await check({ images: 1, queries: 2, heads: 1, depth: 6, attrs: { method, levels } }, ({ locations }) =>
        locations.set([1e30, 0.5, -1e30, 0.5, 0.5, 4e9, 0.5, -7, 0.4375, 0.5625]),
      );
    });

    it("NaN in a value reaches only who samples it", async () => {
      const levels = [{ height: 3, width: 4, points: 1 }];
      const test: Case = { images: 1, queries: 3, heads: 1, depth: 4, attrs: { method, levels } };
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
      const test: Case = { images: 1, queries: 2, heads: 2, depth: 4, attrs: { method, levels } };
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
      const test: Case = { images: 2, queries: 300, heads: 2, depth: 8, attrs: { method, levels } };
      const inputs = inputsOf(test, dataFor(test));
      const runs: TypedArray[][] = [];
      for (let i = 0; i < 3; i++) runs.push(await evaluate(backend, inputs, runFor(test)));
      expect(runs[1]).toEqual(runs[0]);
      expect(runs[2]).toEqual(runs[0]);
    });
  });

  it("compiles nothing for other sizes", async () => {
    const caseFor = (n: number): Case => ({
      ...{ images: n, queries: 3 * n, heads: n, depth: 4 * n },
      attrs: { method: "bilinear", levels: [3, 4, 5].map((k) => ({ height: k * n, width: k + n, points: n })) },
    });
    await check(caseFor(1));
    const { pipelines } = backend.counters;
    await check(caseFor(2));
    expect(backend.counters.pipelines).toBe(pipelines);
  });
});
