import { describe, expect, test } from "vitest";
import { absoluteError, median, normError, relativeError, unitError } from "./compare.ts";
import { compareDetections, type DetectionList } from "./detections.ts";
import { checkLine, Report } from "./report.ts";

describe("errors", () => {
  test("are the worst over all numbers", () => {
    expect(absoluteError([1, 2, 4], [1, 2, 3])).toBe(1);
    expect(unitError([4], [3])).toBe(0.25);
    expect(relativeError([1.5, 1e-9], [1, 0], 1e-3)).toBe(0.5);
    expect(normError([3, 0], [0, 4])).toBe(1.25);
    expect(median([5, 1, 3, 2])).toBe(2.5);
  });

  test("are infinite where a number is missing or not one", () => {
    for (const error of [absoluteError, unitError])
      for (const actual of [[1], [1, Number.NaN], [1, 2, 3]]) expect(error(actual, [1, 2])).toBe(Infinity);
    expect(normError([1], [1, 2])).toBe(Infinity);
    expect(absoluteError([Infinity], [Infinity])).toBe(0);
  });
});

test("a report passes only when something ran and nothing failed", () => {
  const report = new Report();
  expect(report.ok).toBe(false);
  report.skip("a", "no file");
  expect(report.ok).toBe(false);
  report.compare("b", 1e-6, 1e-5);
  expect(report.ok).toBe(true);
  report.compare("c", Number.NaN, 1);
  expect(report.ok).toBe(false);
  expect(report.summary).toBe("1 passed, 1 failed, 1 skipped");
  expect(report.checks.map(checkLine).map((line) => line.split("|").at(-1)?.trim())).toEqual([
    "skipped: no file",
    "passed",
    "failed",
  ]);
});

describe("detections", () => {
  const list = (items: readonly (readonly [label: number, left: number, score: number])[]): DetectionList => ({
    labels: Int32Array.from(items, ([label]) => label),
    boxes: Float64Array.from(items.flatMap(([, left]) => [left, 10, left + 20, 30])),
    scores: Float64Array.from(items, ([, , score]) => score),
  });
  const expected = list([
    [1, 0, 0.9],
    [2, 50, 0.8],
    [1, 0.5, 0.7],
    [3, 70, 0.2],
  ]);
  const options = { size: [100, 100], box: 1e-3, score: 1e-3, leftOut: [] } as const;

  test("near ties may swap", () => {
    const swapped = list([
      [2, 50, 0.8],
      [1, 0.05, 0.9],
      [3, 70, 0.2],
      [1, 0.5, 0.7],
    ]);
    const { box, ...rest } = compareDetections(swapped, expected, options);
    expect(box).toBeCloseTo(5e-4, 12);
    expect(rest).toEqual({ unpaired: 0, score: 0 });
  });

  test("a wrong label, box or score shows", () => {
    const wrong = (change: readonly [number, number, number]) =>
      compareDetections(list([change, [2, 50, 0.8], [1, 0.5, 0.7], [3, 70, 0.2]]), expected, options);
    expect(wrong([4, 0, 0.9]).unpaired).toBe(1);
    expect(wrong([1, 5, 0.9]).box).toBeGreaterThan(options.box);
    expect(wrong([1, 0, 0.95]).score).toBeCloseTo(0.05, 12);
  });

  test("what lies at the cut, or comes from a query that was not chosen, may be missing", () => {
    const shorter = list([
      [1, 0, 0.9],
      [1, 0.5, 0.7],
      [9, 0, 0.2],
    ]);
    const leftOut = [[50, 10, 70, 30]];
    expect(compareDetections(shorter, expected, { ...options, leftOut })).toEqual({ unpaired: 0, box: 0, score: 0 });
    expect(compareDetections(shorter, expected, options).unpaired).toBe(1);
  });
});
