import fc from "fast-check";
import { expect, test } from "vitest";
import { lineChart } from "./lineChart.ts";

/** The numbers along the x axis (anchored in the middle) of a chart from (low, 0) to (high, 1). */
function ticks(low: number, high: number): number[] {
  const series = {
    name: "a",
    points: [
      [low, 0],
      [high, 1],
    ] as const,
  };
  const svg = lineChart([series], { title: "t", xLabel: "step" });
  return [...svg.matchAll(/"middle">([^<]*)</g)]
    .map(([, text]) => Number(text))
    .filter((value) => !Number.isNaN(value));
}

test("ticks are few round numbers inside the range", () => {
  expect(ticks(0, 1)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
  expect(ticks(3, 3)).toContain(3);
  fc.assert(
    fc.property(
      fc.double({ min: -1e6, max: 1e6, noNaN: true }),
      fc.double({ min: 1e-3, max: 1e6, noNaN: true }),
      (low, span) => {
        const values = ticks(low, low + span);
        expect(values.length).toBeGreaterThanOrEqual(2);
        expect(values.length).toBeLessThanOrEqual(7);
        for (const value of values) {
          expect(value).toBeGreaterThanOrEqual(low - 1e-6 * span);
          expect(value).toBeLessThanOrEqual(low + span * (1 + 1e-6));
        }
      },
    ),
  );
});

test("a chart names its series and breaks the line at what is not finite", () => {
  const points = [
    [0, 1],
    [1, Number.NaN],
    [2, 3],
  ] as const;
  const svg = lineChart([{ name: "a<b", points }], { title: "Loss", xLabel: "step" });
  expect(svg).toContain("a&lt;b");
  expect(svg).toMatch(/d="M[^L]*M[^L]*"/);
  expect(svg).not.toContain("NaN");
  expect(lineChart([{ name: "none", points: [] }], { title: "t", xLabel: "x" })).toBe("");
});
