import { matmul, type Tensor } from "@dfine/tensor";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { evaluate, f32, type Input, numbers, variants } from "../../test/opKit.ts";
import { expectClose, expectedOf, productKinds } from "../../test/productKit.ts";

const kinds = await productKinds();
afterAll(() => {
  for (const [, backend] of kinds) backend.dispose();
});

interface Case {
  readonly a: readonly number[];
  readonly b: readonly number[];
  /** Stored transposed. */
  readonly transposed?: readonly [boolean, boolean];
  /** Only every second element of what is stored. */
  readonly spread?: boolean;
}

const swapLast = (list: readonly number[]): number[] => [...list.slice(0, -2), list.at(-1)!, list.at(-2)!];
const size = (shape: readonly number[]): number => shape.reduce((x, y) => x * y, 1);

function problem({ a, b, transposed = [false, false], spread = false }: Case) {
  const stored = (shape: readonly number[], isTransposed: boolean, seed: number): Input => {
    const kept = isTransposed ? swapLast(shape) : [...shape];
    if (spread) kept[kept.length - 1]! *= 2;
    return f32(numbers(size(kept), seed), kept);
  };
  const seen = (t: Tensor, isTransposed: boolean): Tensor => {
    const last = spread ? t.slice([...t.shape.slice(1).map(() => null), { step: 2 }]) : t;
    return isTransposed ? last.transpose(-1, -2) : last;
  };
  return {
    inputs: [stored(a, transposed[0], 1), stored(b, transposed[1], 2)],
    run: ([x, y]: readonly Tensor[]) => [matmul(seen(x!, transposed[0]), seen(y!, transposed[1]))],
  };
}

const CASES: readonly Case[] = [
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
  // Sums cut into parts, at runs of k that do not divide evenly.
  { a: [6, 5003], b: [5003, 9] },
  { a: [33, 20000], b: [20000, 2] },
];
const LARGE: readonly Case[] = [
  { a: [162, 121, 9], b: [162, 9, 126] },
  { a: [165, 61, 20], b: [165, 20, 63] },
  // More than one dispatch.
  { a: [650, 650], b: [650, 650] },
];
const TRANSPOSED = [
  [false, false],
  [true, false],
  [false, true],
  [true, true],
] as const;

describe.each(TRANSPOSED)("matmul, a stored transposed: %s, b: %s", (...transposed) => {
  it.each(CASES.map(({ a, b }) => [a, b] as const))("%j · %j", async (a, b) => {
    const { inputs, run } = problem({ a, b, transposed });
    const expected = await expectedOf(inputs, run);
    for (const [, backend] of kinds) expectClose(await evaluate(backend, inputs, run), expected);
  });
});

describe("matmul", () => {
  it("of any sizes, batches and spacing", async () => {
    const side = fc.integer({ min: 1, max: 70 });
    const batch = fc.array(fc.constantFrom(1, 2), { maxLength: 3 });
    const cases = fc
      .record({ sizes: fc.tuple(side, side, side), p: batch, q: batch, transposed: fc.constantFrom(...TRANSPOSED) })
      .chain((one) => fc.record({ one: fc.constant(one), spread: fc.boolean() }))
      .map(({ one: { sizes, p, q, transposed }, spread }): Case => {
        const [m, k, n] = sizes;
        return { a: [...p, m, k], b: [...q, k, n], transposed, spread };
      });
    await fc.assert(
      fc.asyncProperty(cases, async (test) => {
        const { inputs, run } = problem(test);
        const expected = await expectedOf(inputs, run);
        for (const [, backend] of kinds) expectClose(await evaluate(backend, inputs, run), expected);
      }),
      { numRuns: 60 },
    );
  });

  it.each(LARGE.map(({ a, b }) => [a, b] as const))("large: %j · %j", async (a, b) => {
    const { inputs, run } = problem({ a, b });
    const expected = await expectedOf(inputs, run);
    for (const [, backend] of kinds) expectClose(await evaluate(backend, inputs, run), expected);
  });

  it("gives the same bits on every run", async () => {
    const { inputs, run } = problem({ a: [6, 20000], b: [20000, 9] });
    for (const [, backend] of kinds)
      expect(await evaluate(backend, inputs, run)).toEqual(await evaluate(backend, inputs, run));
  });

  it.each(kinds)("%s: lets NaN and infinity through to their row and column only", async (_, backend) => {
    const a = new Float32Array(6 * 7).fill(1);
    const b = new Float32Array(7 * 9).fill(1);
    a[2 * 7 + 3] = Number.NaN;
    b[4 * 9 + 5] = Number.POSITIVE_INFINITY;
    const [c] = await evaluate(backend, [f32(a, [6, 7]), f32(b, [7, 9])], ([x, y]) => [matmul(x!, y!)]);
    for (let i = 0; i < 6; i++)
      for (let j = 0; j < 9; j++)
        expect(c![i * 9 + j]).toBe(i === 2 ? Number.NaN : j === 5 ? Number.POSITIVE_INFINITY : 7);
  });

  it("takes tiles that fit", async () => {
    const chosen = async (kind: number, test: Case): Promise<string> => {
      const { inputs, run } = problem(test);
      const [name] = await variants(kinds[kind]![1], inputs, run);
      return name!;
    };
    expect(await chosen(1, LARGE[0]!)).toBe("matmul: tiled 128×128");
    expect(await chosen(1, LARGE[1]!)).toBe("matmul: tiled 64×64");
    expect(await chosen(1, { a: [20, 30], b: [30, 20] })).toBe("matmul: tiled 32×32");
    expect(await chosen(0, { a: [320, 9], b: [9, 256] })).toBe("matmul: direct 32×16");
    // Three columns, turned to be rows.
    expect(await chosen(0, { a: [300, 9], b: [9, 3] })).toMatch(/^matmul: direct [24]×32$/);
  });
});
