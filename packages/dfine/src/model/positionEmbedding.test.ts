import { describe, expect, test } from "vitest";
import { positionEmbedding } from "./positionEmbedding.ts";

const temperature = 10000;

describe("positionEmbedding", () => {
  test("has the frequencies of docs/specification.md §5", () => {
    // ω of 256 features; column 1, row 0 of a 2 x 1 map.
    const embedding = positionEmbedding({ width: 2, height: 1 }, 256, temperature);
    [1, 0.865964, 0.749894, 0.649382].forEach((omega, j) => {
      expect(Math.asin(Math.min(1, embedding[256 + j]!))).toBeCloseTo(Math.asin(Math.sin(omega)), 5);
      expect(embedding[256 + 64 + j]!).toBeCloseTo(Math.cos(omega), 5);
    });
    // Both rows are 0: sines 0, cosines 1.
    expect([...embedding.subarray(256 + 128, 256 + 192)]).toEqual(Array(64).fill(0));
    expect([...embedding.subarray(256 + 192, 512)]).toEqual(Array(64).fill(1));
  });

  test("on a square map the first half tells the row, the second the column", () => {
    const [side, features] = [5, 16];
    const embedding = positionEmbedding({ width: side, height: side }, features, temperature);
    const half = (y: number, x: number, which: 0 | 1) => {
      const start = (y * side + x) * features + (which * features) / 2;
      return [...embedding.subarray(start, start + features / 2)];
    };
    for (let a = 0; a < side; a++)
      for (let b = 0; b < side; b++) {
        expect(half(a, b, 0)).toEqual(half(a, 0, 0));
        expect(half(a, b, 1)).toEqual(half(0, b, 1));
        expect(half(a, b, 0)).toEqual(half(b, a, 1));
      }
    expect(half(1, 0, 0)).not.toEqual(half(2, 0, 0));
  });

  test("on other maps tokens count down the columns, as officially", () => {
    const [width, height, features] = [3, 2, 8];
    const embedding = positionEmbedding({ width, height }, features, temperature);
    const token = (t: number) => [...embedding.subarray(t * features, (t + 1) * features)];
    // Token 3, which lies at row 1 and column 0, is embedded as column 1 and row 1.
    expect(token(3).slice(0, 4)).toEqual(token(3).slice(4));
    expect(token(3)[0]!).toBeCloseTo(Math.sin(1), 6);
  });
});
