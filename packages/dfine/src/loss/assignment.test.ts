import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AssignmentError, linearSumAssignment } from "./assignment.ts";

/** Least total cost over every way to give each row of the shorter side its own column, by trying all. */
function bruteForce(cost: Float64Array, rows: number, columns: number): number {
  if (rows > columns) {
    const transposed = Float64Array.from(cost, (_, i) => cost[(i % rows) * columns + Math.floor(i / rows)]!);
    return bruteForce(transposed, columns, rows);
  }
  const visit = (row: number, used: number): number => {
    if (row === rows) return 0;
    let best = Number.POSITIVE_INFINITY;
    for (let column = 0; column < columns; column++)
      if (!(used & (1 << column)))
        best = Math.min(best, cost[row * columns + column]! + visit(row + 1, used | (1 << column)));
    return best;
  };
  return visit(0, 0);
}

const anyCost = fc.oneof(
  fc.double({ min: -100, max: 100, noNaN: true }),
  fc.integer({ min: 0, max: 2 }),
  fc.constantFrom(0, 1e6, -1e6),
);
const problem = fc
  .tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 6 }))
  .chain(([rows, columns]) =>
    fc
      .array(anyCost, { minLength: rows * columns, maxLength: rows * columns })
      .map((values) => ({ rows, columns, cost: Float64Array.from(values) })),
  );

describe("linearSumAssignment", () => {
  test("is a matching of full size whose cost equals brute force", () => {
    fc.assert(
      fc.property(problem, ({ rows, columns, cost }) => {
        const found = linearSumAssignment(cost, rows, columns);
        const pairs = [...found.rows].map((row, i) => [row, found.columns[i]!] as const);
        expect(found.rows.length).toBe(Math.min(rows, columns));
        expect(found.columns.length).toBe(Math.min(rows, columns));
        expect(pairs.every(([row], i) => i === 0 || row > pairs[i - 1]![0])).toBe(true);
        expect(new Set(found.columns).size).toBe(found.columns.length);
        expect(pairs.every(([row, column]) => row < rows && column >= 0 && column < columns)).toBe(true);
        const total = pairs.reduce((sum, [row, column]) => sum + cost[row * columns + column]!, 0);
        expect(total).toBeCloseTo(bruteForce(cost, rows, columns), 6);
      }),
      { numRuns: 500 },
    );
  });

  test("transposing the costs transposes the cost of the result", () => {
    const wide = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 12 * 40, maxLength: 12 * 40 });
    fc.assert(
      fc.property(wide, (values) => {
        const cost = Float64Array.from(values);
        const transposed = Float64Array.from(cost, (_, i) => cost[(i % 12) * 40 + Math.floor(i / 12)]!);
        const total = (costs: Float64Array, rows: number, columns: number) => {
          const found = linearSumAssignment(costs, rows, columns);
          return found.rows.reduce((sum, row, i) => sum + costs[row * columns + found.columns[i]!]!, 0);
        };
        expect(total(cost, 12, 40)).toBeCloseTo(total(transposed, 40, 12), 9);
      }),
      { numRuns: 30 },
    );
  });

  test("finds a hidden permutation of size 300 x 60", () => {
    fc.assert(
      fc.property(fc.shuffledSubarray([...Array(300).keys()], { minLength: 60, maxLength: 60 }), (chosen) => {
        const cost = Float64Array.from({ length: 300 * 60 }, (_, i) => 1 + ((i * 7919) % 101) / 101);
        chosen.forEach((row, column) => {
          cost[row * 60 + column] = 0;
        });
        const found = linearSumAssignment(cost, 300, 60);
        expect([...found.rows].map((row, i) => chosen[found.columns[i]!] === row).every(Boolean)).toBe(true);
        expect([...found.rows]).toEqual([...chosen].sort((a, b) => a - b));
      }),
      { numRuns: 20 },
    );
  });

  test("equal costs give the same answer every time", () => {
    const flat = linearSumAssignment(new Float64Array(12).fill(3), 4, 3);
    expect(linearSumAssignment(new Float64Array(12).fill(3), 4, 3)).toEqual(flat);
  });

  test("refuses what cannot be assigned", () => {
    expect(() => linearSumAssignment(new Float64Array(5), 2, 3)).toThrow(/5 costs do not fill \[2, 3\]/);
    expect(() => linearSumAssignment(new Float64Array([0, 1, Number.NaN, 2]), 2, 2)).toThrow(AssignmentError);
    expect(() => linearSumAssignment(new Float64Array([0, 1, Infinity, 2]), 2, 2)).toThrow(
      /row 1, column 0 is Infinity/,
    );
  });
});
