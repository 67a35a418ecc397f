import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { NO_PACK, referenceJson } from "../../../../parity/referencePack.ts";
import { weightingFunction } from "./weighting.ts";

const parameters = fc.record({
  regMax: fc.integer({ min: 2, max: 64 }).map((half) => 2 * half),
  regScale: fc.double({ min: 0.5, max: 16, noNaN: true }),
  up: fc.double({ min: 0.1, max: 2, noNaN: true }),
});

describe("weightingFunction", () => {
  test("values of the table in docs/specification.md §6", () => {
    const four = weightingFunction({ regMax: 32, regScale: 4, up: 0.5 });
    const eight = weightingFunction({ regMax: 32, regScale: 8, up: 0.5 });
    const table: [number, number, number][] = [
      [0, 0, 0],
      [1, 0.07599, 0.113264],
      [7, 0.66977, 1.119269],
      [14, 1.788131, 3.491299],
      [15, 2, 4],
      [16, 4, 8],
    ];
    for (const [i, ofFour, ofEight] of table) {
      expect(four[16 + i]).toBeCloseTo(ofFour, 6);
      expect(four[16 - i]).toBeCloseTo(-ofFour, 6);
      expect(eight[16 + i]).toBeCloseTo(ofEight, 6);
    }
  });

  test("ascends, is odd about the middle, and reaches ±up·regScale and twice that at its ends", () => {
    fc.assert(
      fc.property(parameters, (given) => {
        const w = weightingFunction(given);
        const bound = given.up * given.regScale;
        for (let i = 1; i < w.length; i++) expect(w[i]).toBeGreaterThan(w[i - 1]!);
        for (let i = 0; i < w.length; i++) expect(w[i]! + w[w.length - 1 - i]!).toBe(0);
        expect(w.at(-1)).toBe(2 * bound);
        if (given.regMax > 4) expect(w.at(-2)! / bound).toBeCloseTo(1, 9);
      }),
    );
  });

  test("equals the paper's W(n) times regScale", () => {
    fc.assert(
      fc.property(parameters, (given) => {
        const { regMax, regScale, up } = given;
        const c = 1 / regScale;
        const paper = (n: number) => {
          if (n === 0) return -2 * up;
          if (n === regMax) return 2 * up;
          const power = (up / c + 1) ** (Math.abs(regMax - 2 * n) / (regMax - 2));
          return n < regMax / 2 ? c - c * power : -c + c * power;
        };
        weightingFunction(given).forEach((value, n) => {
          expect(value).toBeCloseTo(regScale * paper(n), 9);
        });
      }),
    );
  });

  test("agrees with the reference pack", (context) => {
    const units = referenceJson<{ reg_max: number; up: number; reg_scale: number; w: number[] }[]>(
      "units/weighting_function.json",
    );
    if (!units) return context.skip(NO_PACK);
    for (const { reg_max, up, reg_scale, w } of units) {
      const given = { regMax: reg_max, up, regScale: reg_scale };
      const exact = weightingFunction(given);
      expect(exact.length).toBe(w.length);
      w.forEach((value, i) => {
        expect(Math.abs(exact[i]! - value)).toBeLessThanOrEqual(1e-7 * (1 + Math.abs(value)));
      });
    }
  });
});
