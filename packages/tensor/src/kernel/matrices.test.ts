import fc from "fast-check";
import { expect, it } from "vitest";
import { type Matrices, matmulProblem } from "./matrices.ts";

/** Up to three batch axes, of size 1 or broadcast in either factor, with strides of which some go on evenly. */
const cases = fc
  .record({
    axes: fc.array(fc.record({ size: fc.integer({ min: 1, max: 3 }), a: fc.boolean(), b: fc.boolean() }), {
      maxLength: 3,
    }),
    ...{ m: fc.integer({ min: 1, max: 3 }), k: fc.integer({ min: 1, max: 3 }), n: fc.integer({ min: 1, max: 3 }) },
    gap: fc.integer({ min: 0, max: 1 }),
  })
  .map(({ axes, m, k, n, gap }) => {
    const view = (own: "a" | "b", sizes: readonly [number, number]) => {
      const shape = [...axes.map((axis) => (axis[own] ? axis.size : 1)), ...sizes];
      let step = 1;
      const strides = [...shape].reverse().map((size) => {
        const stride = step;
        step = step * size + gap;
        return stride;
      });
      return {
        buffer: { length: 0, dtype: "f32" as const },
        dtype: "f32" as const,
        shape,
        strides: strides.reverse(),
        offset: 0,
      };
    };
    const sizes = axes.map((axis) => (axis.a || axis.b ? axis.size : 1));
    return { sizes, m, k, n, a: view("a", [m, k]), b: view("b", [k, n]) };
  });

/** Places of all entries, row-major over the axes. */
const places = (axes: readonly number[], strides: readonly number[]): number[] =>
  axes.reduce((all, size, i) => all.flatMap((at) => Array.from({ length: size }, (_, j) => at + j * strides[i]!)), [0]);

/** Where row `row` of the result, counted through all entries, finds its row of a and its entry of b. */
it("every row of every entry finds its row of a and its matrix b, in the same order", () => {
  fc.assert(
    fc.property(cases, ({ sizes, m, k, n, a, b }) => {
      const walk = (strides: readonly number[], shape: readonly number[]) =>
        places(
          sizes,
          sizes.map((size, i) => (shape[i] === 1 && size !== 1 ? 0 : strides[i]!)),
        );
      const rowsOf = (at: readonly number[], other: readonly number[], count: number, step: number) =>
        at.flatMap((from, i) => Array.from({ length: count }, (_, row) => [from + row * step, other[i]!]));
      const expected = rowsOf(walk(a.strides, a.shape), walk(b.strides, b.shape), m, a.strides.at(-2)!);
      const problem = matmulProblem(a, b);
      const entries = ({ batch }: Matrices) => places(problem.axes, batch);
      expect(rowsOf(entries(problem.a), entries(problem.b), problem.m, problem.a.row)).toEqual(expected);
      expect([problem.k, problem.n, problem.a.column, problem.b.row, problem.b.column]).toEqual([
        ...[k, n, a.strides.at(-1), b.strides.at(-2), b.strides.at(-1)],
      ]);
    }),
  );
});

it("a batch that shares b is one product", () => {
  const view = (shape: readonly number[], strides: readonly number[]) => ({
    ...({ buffer: { length: 0, dtype: "f32" }, dtype: "f32", offset: 0 } as const),
    ...{ shape, strides },
  });
  const problem = matmulProblem(view([2, 1, 5, 3, 4], [60, 9, 12, 4, 1]), view([4, 6], [6, 1]));
  expect([problem.m, problem.axes]).toEqual([30, []]);
});
