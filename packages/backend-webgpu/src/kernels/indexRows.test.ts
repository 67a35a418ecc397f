import { indexAdd, indexSelect, type Tensor } from "@dfine/tensor";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { numbers } from "../../../tensor/test/sums.ts";
import { bothKinds, evaluate, f32, type Input, i32, reference, variants } from "../../test/opKit.ts";

const kinds = await bothKinds();
afterAll(() => {
  for (const [, backend] of kinds) backend.dispose();
});

const sizes = fc.record({ rows: fc.integer({ min: 1, max: 30 }), columns: fc.integer({ min: 1, max: 70 }) });

describe.each(kinds)("indexSelect, %s", (_, backend) => {
  it("copies rows, integers and floats alike", async () => {
    const cases = sizes.chain((size) =>
      fc.tuple(fc.constant(size), fc.array(fc.nat(size.rows - 1), { minLength: 1, maxLength: 40 }), fc.boolean()),
    );
    await fc.assert(
      fc.asyncProperty(cases, async ([{ rows, columns }, index, isInteger]) => {
        const data = numbers(rows * columns);
        const x = isInteger
          ? i32(
              data.map((v) => v * 2e9),
              [rows, columns],
            )
          : f32(data, [rows, columns]);
        const [got] = await evaluate(backend, [x, i32(index, [index.length])], ([a, b]) => [indexSelect(a!, b!)]);
        expect([...got!]).toEqual(index.flatMap((row) => [...x.values.slice(row * columns, (row + 1) * columns)]));
      }),
      { numRuns: 40 },
    );
  });

  it("never reads outside the rows, and keeps every bit", async () => {
    const x = f32([1, 2, 3, Number.NaN, -0, -Infinity], [2, 3]);
    const [got] = await evaluate(backend, [x, i32([-1, 2, 2 ** 31 - 1], [3])], ([a, b]) => [indexSelect(a!, b!)]);
    expect([...got!]).toEqual([1, 2, 3, Number.NaN, -0, -Infinity, Number.NaN, -0, -Infinity]);
  });
});

/** In order, in single precision: the result is defined to the bit. */
function added(index: readonly number[], updates: ArrayLike<number>, { rows, columns }: Record<string, number>) {
  const sums = new Float32Array(rows! * columns!);
  for (const [k, row] of index.entries()) {
    if (row < 0 || row >= rows!) continue;
    for (let c = 0; c < columns!; c++) sums[row * columns! + c]! += updates[k * columns! + c]!;
  }
  return sums;
}

describe.each(kinds)("indexAdd, %s", (kind, backend) => {
  const run = (rows: number) => (inputs: readonly Tensor[]) => [indexAdd(inputs[0]!, inputs[1]!, rows)];
  const inputsFor = (index: readonly number[], updates: ArrayLike<number>, columns: number): Input[] => [
    i32(index, [index.length]),
    f32(updates, [index.length, columns]),
  ];

  it("few updates: adds in ascending position and drops indices outside", async () => {
    const cases = sizes.chain((size) =>
      fc.tuple(
        fc.constant(size),
        fc.array(fc.integer({ min: -2, max: size.rows + 1 }), { minLength: 0, maxLength: 60 }),
      ),
    );
    await fc.assert(
      fc.asyncProperty(cases, async ([size, index]) => {
        const updates = numbers(index.length * size.columns);
        const inputs = inputsFor(index, updates, size.columns);
        const [got] = await evaluate(backend, inputs, run(size.rows));
        expect(got).toEqual(added(index, updates, size));
        expect(got).toEqual((await evaluate(reference, inputs, run(size.rows)))[0]);
      }),
      { numRuns: 40 },
    );
  });

  it("many updates: the same, sorted first", async () => {
    const spread = fc.constantFrom("even", "one row", "in pairs");
    await fc.assert(
      fc.asyncProperty(spread, fc.integer({ min: 1, max: 3 }), fc.nat(1000), async (pattern, columns, seed) => {
        const size = { rows: 7001, columns };
        const index = [...numbers(5003, seed)].map((v, k) => {
          if (pattern === "one row") return k % 3 === 0 ? 6999 : -1;
          return pattern === "in pairs" ? (k >> 1) + 4400 : Math.floor((v + 1) * 3502);
        });
        const updates = numbers(index.length * columns, seed + 1);
        const [got] = await evaluate(backend, inputsFor(index, updates, columns), run(size.rows));
        expect(got).toEqual(added(index, updates, size));
      }),
      { numRuns: 10 },
    );
    const index = new Array<number>(5003).fill(3);
    const names = await variants(backend, inputsFor(index, numbers(5003), 1), run(7001));
    expect(names).toEqual(kind === "for GPUs" ? ["indexAdd: grouped"] : []);
  });

  it("lets NaN and infinity through to their rows only", async () => {
    for (const rows of [4, 300_000]) {
      const index = Array.from({ length: 120 }, (_, k) => [0, 2, rows - 1][k % 3]!);
      const updates = new Float32Array(120).fill(1);
      updates.set([Number.NaN, 3, Infinity]);
      const [got] = await evaluate(backend, inputsFor(index, updates, 1), run(rows));
      expect([...got!.slice(0, 3), got![rows - 1]]).toEqual([Number.NaN, 0, 42, Infinity]);
    }
  });
});
