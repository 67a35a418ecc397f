import { type TypedArray, topK } from "@dfine/tensor";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { numbers } from "../../../tensor/test/sums.ts";
import { bothKinds, evaluate, f32, i32, reference, variants } from "../../test/opKit.ts";

const kinds = await bothKinds();
afterAll(() => {
  for (const [, backend] of kinds) backend.dispose();
});

/** Positions of the k largest by sorting: NaN first, then descending, equals by position. */
function sorted(row: ArrayLike<number>, k: number): number[] {
  const above = (a: number, b: number): boolean => a > b || (Number.isNaN(a) && !Number.isNaN(b));
  return Array.from(row, (_, i) => i)
    .sort((i, j) => (above(row[i]!, row[j]!) ? -1 : above(row[j]!, row[i]!) ? 1 : i - j))
    .slice(0, k);
}

const special = fc.constantFrom(0, -0, Number.NaN, Infinity, -Infinity, 1, -1, 2 ** -126, 3.4e38, -3.4e38);
const element = fc.oneof(special, fc.integer({ min: -3, max: 3 }), fc.float({ noNaN: true }));
const rowsOf = (least: number, most: number) =>
  fc
    .tuple(fc.integer({ min: least, max: most }), fc.integer({ min: 1, max: 4 }))
    .chain(([n, rows]) =>
      fc.tuple(
        fc.array(fc.array(element, { minLength: n, maxLength: n }), { minLength: rows, maxLength: rows }),
        fc.integer({ min: 1, max: n }),
      ),
    );

describe.each(kinds)("topK, %s", (kind, backend) => {
  const run = (rows: readonly ArrayLike<number>[], k: number): Promise<TypedArray[]> => {
    const input = f32(
      rows.flatMap((row) => Array.from(row)),
      [rows.length, rows[0]!.length],
    );
    return evaluate(backend, [input], ([x]) => {
      const { values, indices } = topK(x!, k);
      return [values, indices];
    });
  };
  async function check(rows: readonly ArrayLike<number>[], k: number): Promise<void> {
    const data = rows.map((row) => Float32Array.from(row));
    const positions = data.map((row) => sorted(row, k));
    const [values, indices] = await run(data, k);
    expect([...indices!]).toEqual(positions.flat());
    expect([...values!]).toEqual(positions.flatMap((list, r) => list.map((i) => data[r]![i]!)));
  }

  it.each([
    ["ranked", 1, 96],
    ["selected", 97, 300],
  ])("%s: any rows, with ties, zeros of both signs, infinities and NaN", async (_, least, most) => {
    await fc.assert(
      fc.asyncProperty(rowsOf(least, most), ([rows, k]) => check(rows, k)),
      { numRuns: 40 },
    );
  });

  it("agrees with the reference on long rows with few values", async () => {
    const row = (seed: number) => [...numbers(1500, seed)].map((v) => Math.round(v * 4));
    const input = f32([...row(1), ...row(2)], [2, 1500]);
    const both = (x: Parameters<typeof topK>[0]) => {
      const { values, indices } = topK(x, 300);
      return [values, indices];
    };
    const got = await evaluate(backend, [input], ([x]) => both(x!));
    expect(got).toEqual(await evaluate(reference, [input], ([x]) => both(x!)));
  });

  it("every NaN is as large as any other, whatever its sign and payload", async () => {
    const bits = [0x3f800000, -0x400000, 0x7f800001, 0x7f800000, -1, 0x7fffffff, -0x7fffff, -0x800000];
    for (const padding of [0, 200]) {
      const words = Int32Array.from([...bits, ...new Array<number>(padding).fill(0)]);
      const [, indices] = await evaluate(backend, [f32(new Float32Array(words.buffer), [1, words.length])], ([x]) => {
        const { values, indices: found } = topK(x!, 6);
        return [values, found];
      });
      expect([...indices!]).toEqual([1, 2, 4, 5, 6, 3]);
    }
  });

  it("300 of 24000, coarse values, and all equal", async () => {
    const row = (seed: number) => Array.from({ length: 24000 }, (_, i) => Math.round(Math.sin(i * seed) * 5000) / 64);
    await check([row(1.7), row(0.3), new Array<number>(24000).fill(-1)], 300);
  });

  it("in parts: 301 of 100003, of which few are large", async () => {
    const row = Array.from({ length: 100_003 }, (_, i) => (i % 1009 === 7 ? 5 + (i % 3) : Math.fround(Math.sin(i))));
    await check([row, row.map((v) => -v)], 301);
  });

  it("4 of many rows of 33", async () => {
    await check(
      Array.from({ length: 2000 }, (_, r) => numbers(33, r + 1)),
      4,
    );
  });

  it("rows already sorted, either way", async () => {
    const row = Array.from({ length: 500 }, (_, i) => i);
    for (const k of [1, 17, 500]) await check([row, [...row].reverse()], k);
  });

  it("chooses by the length of rows", async () => {
    const names = (n: number) => variants(backend, [f32(numbers(n), [1, n])], ([x]) => [topK(x!, 1).values]);
    expect(await names(33)).toEqual(["topK: rank"]);
    expect(await names(8400)).toEqual([kind === "for GPUs" ? "topK: select together" : "topK: select"]);
  });

  it("indices can be used at once", async () => {
    const [twice] = await evaluate(backend, [f32([3, 1, 2], [1, 3]), i32([1, 1, 1], [1, 3])], ([x, one]) => [
      topK(x!, 3).indices.add(one!),
    ]);
    expect([...twice!]).toEqual([1, 3, 2]);
  });
});
