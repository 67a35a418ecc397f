import { referenceBackend, withBackend } from "@dfine/tensor";
import { describe, expect, test } from "vitest";
import { anchorOps, anchorTensors, makeAnchors } from "./anchors.ts";
import { LevelCache } from "./levelCache.ts";

const levels = (size: number, strides: number[]) =>
  strides.map((stride) => ({ height: size / stride, width: size / stride }));
const invalid = (valid: ArrayLike<number>) => Array.from(valid).filter((is) => !is).length;

describe("makeAnchors", () => {
  test("at 640 the outer ring of the stride-8 map is invalid, everything else valid", () => {
    const { anchors, valid } = makeAnchors(levels(640, [8, 16, 32]), 0.01);
    expect(valid.length).toBe(8400);
    expect(invalid(valid)).toBe(316);
    expect(invalid(valid.subarray(0, 6400))).toBe(316);
    expect(valid[80 * 40]).toBe(0);
    expect([...anchors.subarray(0, 4)]).toEqual(Array(4).fill(Number.POSITIVE_INFINITY));
    expect(invalid(makeAnchors(levels(640, [16, 32]), 0.01).valid)).toBe(0);
  });

  test("at 800 the ring of the stride-16 map lies on the margin, which is strict", () => {
    const { valid } = makeAnchors(levels(800, [16]), 0.01);
    expect(invalid(valid)).toBe(4 * 49);
  });

  test("holds cell centres and sides by level, through the inverse sigmoid", () => {
    const { anchors } = makeAnchors(
      [
        { height: 4, width: 8 },
        { height: 2, width: 4 },
      ],
      0.01,
    );
    const boxes = Array.from(anchors, (x) => 1 / (1 + Math.exp(-x)));
    // Row 2, column 5 of the first map; row 1, column 0 of the second.
    const expected: [number, number[]][] = [
      [2 * 8 + 5, [5.5 / 8, 2.5 / 4, 0.05, 0.05]],
      [32 + 4, [0.5 / 4, 1.5 / 2, 0.1, 0.1]],
    ];
    for (const [token, box] of expected)
      box.forEach((value, i) => {
        expect(boxes[4 * token + i]!).toBeCloseTo(value, 6);
      });
  });
});

test("a LevelCache makes anchors once for each size", () => {
  withBackend(referenceBackend(), () => {
    using cache = new LevelCache(
      (sizes) => anchorTensors(sizes, 0.01),
      (sizes) => anchorOps(sizes, 0.01),
    );
    const small = cache.get(levels(64, [16, 32]));
    expect(cache.get(levels(64, [16, 32]))).toBe(small);
    const wide = cache.get([
      { height: 2, width: 8 },
      { height: 1, width: 4 },
    ]);
    expect(wide).not.toBe(small);
    expect(wide.map(({ shape }) => shape)).toEqual([
      [1, 20, 4],
      [1, 20, 1],
    ]);
  });
});
