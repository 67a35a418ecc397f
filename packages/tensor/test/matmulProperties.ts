import { sizeOf } from "@dfine/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { atLeastOne, expectClose, numbers, type Oracle, zeroSums } from "./sums.ts";

export interface MatmulCase {
  readonly a: readonly number[];
  readonly b: readonly number[];
  /** Stored transposed. */
  readonly transposed?: readonly [boolean, boolean];
  /** Only every second element of what is stored. */
  readonly spread?: boolean;
}
/** Elements of a and b in the order in which they are stored. */
export type MatmulData = readonly [Float32Array, Float32Array];

/** Products of a case, one for each kind of the backend. */
export type RunMatmul = (
  test: MatmulCase,
  data: MatmulData,
) => readonly ArrayLike<number>[] | Promise<readonly ArrayLike<number>[]>;

export const swapLast = (list: readonly number[]): number[] => [...list.slice(0, -2), list.at(-1)!, list.at(-2)!];

/** Elements, each followed by a NaN that no product may read. */
export const spreadOut = (data: Float32Array): number[] => Array.from(data).flatMap((x) => [x, Number.NaN]);

export const matmulData = ({ a, b }: MatmulCase): MatmulData => [numbers(sizeOf(a), 1), numbers(sizeOf(b), 2)];

const CASES: readonly MatmulCase[] = [
  { a: [3, 4], b: [4, 5] },
  { a: [1, 1], b: [1, 1] },
  { a: [17, 65], b: [65, 33] },
  { a: [65, 17], b: [17, 1] },
  { a: [1, 33], b: [33, 17] },
  { a: [40, 7], b: [7, 3] },
  { a: [2, 3, 5, 7], b: [2, 3, 7, 4] },
  { a: [2, 1, 5, 7], b: [3, 7, 4] },
  { a: [2, 3, 9, 8], b: [8, 16] },
  { a: [3, 1, 40], b: [1, 40, 12] },
  { a: [5, 8, 3], b: [2, 1, 3, 9] },
  { a: [2, 1, 3, 4, 5], b: [4, 3, 5, 6] },
  { a: [3, 1, 2, 1, 4, 5], b: [1, 2, 1, 3, 5, 2] },
  { a: [4, 0], b: [0, 3] },
  { a: [0, 4], b: [4, 3] },
  // Sums cut into parts, at runs of k that do not divide evenly, and units in either direction.
  { a: [6, 2100], b: [2100, 9] },
  { a: [6, 5003], b: [5003, 9] },
  { a: [33, 20000], b: [20000, 2] },
  { a: [201, 130], b: [130, 60] },
  { a: [40, 130], b: [130, 275] },
];
const TRANSPOSED = [
  [false, false],
  [true, false],
  [false, true],
  [true, true],
] as const;

/** Steps between elements of the last axes, and the way from the result's batch to a factor's; size-1 axes repeat. */
function stepsOf(shape: readonly number[], isTransposed: boolean) {
  const stored = isTransposed ? swapLast(shape) : shape;
  const steps = stored.map((_, axis) => sizeOf(stored.slice(axis + 1)));
  const [row, column] = (isTransposed ? swapLast(steps) : steps).slice(-2) as [number, number];
  const placeOf = (index: readonly number[]): number =>
    shape.slice(0, -2).reduce((at, n, axis, own) => {
      const i = index[index.length - own.length + axis]!;
      return at + (n === 1 ? 0 : i * steps[axis]!);
    }, 0);
  return { row, column, placeOf };
}

function indexOf(flat: number, shape: readonly number[]): number[] {
  const index: number[] = [];
  let rest = flat;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index[axis] = rest % shape[axis]!;
    rest = Math.floor(rest / shape[axis]!);
  }
  return index;
}

/** The product's shape: batches broadcast. */
export function productShape({ a, b }: MatmulCase): number[] {
  const rank = Math.max(a.length, b.length);
  const batch = Array.from({ length: rank - 2 }, (_, i) =>
    Math.max(a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1),
  );
  return [...batch, a.at(-2)!, b.at(-1)!];
}

function oracle(test: MatmulCase, [a, b]: MatmulData): Oracle {
  const shape = productShape(test);
  const batch = shape.slice(0, -2);
  const [m, n, depth] = [shape.at(-2)!, shape.at(-1)!, test.a.at(-1)!];
  const sums = zeroSums(sizeOf(shape));
  const { transposed = [false, false] } = test;
  const [left, right] = [stepsOf(test.a, transposed[0]), stepsOf(test.b, transposed[1])];
  for (let i = 0; i < sums.values.length; i++) {
    const index = indexOf(Math.floor(i / (m * n)), batch);
    const fromA = left.placeOf(index) + (Math.floor(i / n) % m) * left.row;
    const fromB = right.placeOf(index) + (i % n) * right.column;
    for (let k = 0; k < depth; k++) {
      const term = a[fromA + k * left.column]! * b[fromB + k * right.row]!;
      sums.values[i]! += term;
      sums.magnitudes[i]! += Math.abs(term);
    }
  }
  return sums;
}

/** Tests of products of matrices against nested loops. */
export function matmulProperties(run: RunMatmul, { runs }: { readonly runs: number }): void {
  const check = async (test: MatmulCase): Promise<void> => {
    const data = matmulData(test);
    const expected = oracle(test, data);
    for (const product of atLeastOne(await run(test, data))) expectClose(product, expected);
  };

  describe.each(TRANSPOSED)("matmul, a stored transposed: %s, b: %s", (...transposed) => {
    it.each(CASES.map(({ a, b }) => [a, b] as const))("%j · %j", (a, b) => check({ a, b, transposed }));
  });

  describe("matmul", () => {
    it("of any sizes, batches and spacing", async () => {
      const side = fc.integer({ min: 1, max: 70 });
      const batch = fc.array(fc.constantFrom(1, 2), { maxLength: 3 });
      const cases = fc
        .record({
          ...{ sizes: fc.tuple(side, side, side), p: batch, q: batch },
          ...{ transposed: fc.constantFrom(...TRANSPOSED), spread: fc.boolean() },
        })
        .map(({ sizes: [m, k, n], p, q, ...rest }): MatmulCase => ({ a: [...p, m, k], b: [...q, k, n], ...rest }));
      await fc.assert(fc.asyncProperty(cases, check), { numRuns: runs });
    });

    it("lets NaN and infinity through to their row and column only", async () => {
      const data = [new Float32Array(6 * 7).fill(1), new Float32Array(7 * 9).fill(1)] as const;
      data[0][2 * 7 + 3] = Number.NaN;
      data[1][4 * 9 + 5] = Number.POSITIVE_INFINITY;
      for (const product of atLeastOne(await run({ a: [6, 7], b: [7, 9] }, data)))
        for (let i = 0; i < 6; i++)
          for (let j = 0; j < 9; j++)
            expect(product[i * 9 + j]).toBe(i === 2 ? Number.NaN : j === 5 ? Number.POSITIVE_INFINITY : 7);
    });
  });
}
