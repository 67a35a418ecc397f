import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { runOverride } from "../../test/kernelKit.ts";
import { topKOverride } from "./topK.ts";

/** Positions of the k largest by sorting: NaN first, then descending, equals by position. */
function sorted(row: readonly number[], k: number): number[] {
  const above = (a: number, b: number): boolean => a > b || (Number.isNaN(a) && !Number.isNaN(b));
  return row
    .map((_, i) => i)
    .sort((i, j) => (above(row[i]!, row[j]!) ? -1 : above(row[j]!, row[i]!) ? 1 : i - j))
    .slice(0, k);
}

function check(rows: readonly (readonly number[])[], k: number): void {
  const data = rows.map((row) => [...Float32Array.from(row)]);
  const positions = data.map((row) => sorted(row, k));
  runOverride<"topK">(
    topKOverride,
    {
      inputs: (runtime) => [runtime.view([rows.length, rows[0]!.length], data.flat())],
      outputs: (runtime) => [runtime.view([rows.length, k]), runtime.view([rows.length, k], undefined, "i32")],
      attrs: { k },
    },
    ([values, indices]) => {
      expect(indices).toEqual(positions.flat());
      expect(values).toEqual(positions.flatMap((list, r) => list.map((i) => data[r]![i]!)));
    },
  );
}

const special = fc.constantFrom(
  0,
  -0,
  Number.NaN,
  Infinity,
  -Infinity,
  1,
  -1,
  2 ** -149,
  -(2 ** -149),
  3.4e38,
  -3.4e38,
);
const element = fc.oneof(special, fc.integer({ min: -3, max: 3 }), fc.float({ noNaN: true }));

describe("topK", () => {
  it.each([
    ["insert", 1, 16],
    ["select", 17, 60],
  ])("%s: any rows, with ties, zeros of both signs and NaN", (_, least, most) => {
    const cases = fc
      .integer({ min: least, max: most })
      .chain((k) => fc.tuple(fc.constant(k), fc.integer({ min: k, max: 90 }), fc.integer({ min: 1, max: 4 })))
      .chain(([k, n, rows]) =>
        fc.tuple(
          fc.array(fc.array(element, { minLength: n, maxLength: n }), { minLength: rows, maxLength: rows }),
          fc.constant(k),
        ),
      );
    fc.assert(
      fc.property(cases, ([rows, k]) => check(rows, k)),
      { numRuns: 60 },
    );
  });

  it("every NaN is as large as any other, whatever its sign and payload", () => {
    const bits = [0x3f800000, -0x400000, 0x7f800001, 0x7f800000, -1, 0x7fffffff, -0x7fffff, -0x800000];
    for (const k of [6, 8])
      for (const padding of [0, 20]) {
        const row = [...bits, ...new Array<number>(padding).fill(0)];
        runOverride<"topK">(
          topKOverride,
          {
            inputs: (runtime) => {
              const view = runtime.view([1, row.length]);
              runtime.heapI32().set(row, runtime.pointer(view) / 4);
              return [view];
            },
            outputs: (runtime) => [runtime.view([1, k + padding]), runtime.view([1, k + padding], undefined, "i32")],
            attrs: { k: k + padding },
          },
          ([, indices]) => expect(indices!.slice(0, 6)).toEqual([1, 2, 4, 5, 6, 3]),
        );
      }
  });

  it("300 of 24000, coarse values", () => {
    const row = (seed: number) => Array.from({ length: 24000 }, (_, i) => Math.round(Math.sin(i * seed) * 5000) / 64);
    check([row(1.7), row(0.3)], 300);
  });

  it("4 of many rows of 33", () => {
    check(
      Array.from({ length: 2000 }, (_, r) => Array.from({ length: 33 }, (__, i) => Math.fround(Math.sin(r * 33 + i)))),
      4,
    );
  });

  it("rows already sorted, either way, and all equal", () => {
    const row = Array.from({ length: 200 }, (_, i) => i);
    for (const k of [5, 16, 17, 200]) check([row, [...row].reverse(), row.map(() => 7)], k);
  });
});
