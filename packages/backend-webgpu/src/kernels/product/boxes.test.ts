import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { WorkLimits } from "../../device/workLimits.ts";
import { boxes, type Grid } from "./boxes.ts";

const side = fc.integer({ min: 1, max: 12 });

describe("boxes", () => {
  it("cover a grid once, and keep to the most where one workgroup does", () => {
    fc.assert(
      fc.property(fc.tuple(side, side, side), fc.double({ min: 0.1, max: 2000, noNaN: true }), (grid, most) => {
        const times = new Map<string, number>();
        for (const { first, count } of boxes(grid, most)) {
          expect(count[0] * count[1] * count[2]).toBeLessThanOrEqual(Math.max(1, most));
          for (let z = 0; z < count[2]; z++)
            for (let y = 0; y < count[1]; y++)
              for (let x = 0; x < count[0]; x++) {
                const place = [first[0] + x, first[1] + y, first[2] + z].join();
                times.set(place, (times.get(place) ?? 0) + 1);
              }
        }
        expect(times.size).toBe(grid[0] * grid[1] * grid[2]);
        expect(Math.max(...times.values())).toBe(1);
      }),
      { numRuns: 60 },
    );
  });

  it("are no longer along an axis than WebGPU allows", () => {
    const found = [...boxes([100_000, 1, 2], 1e9)];
    expect(found.map(({ count }) => count)).toEqual([
      ...[
        [65535, 1, 2],
        [34465, 1, 2],
      ],
    ]);
  });

  it("are one for 4096³ on an adapter of 10 TFLOP/s, and several on one of 10 GFLOP/s", () => {
    const tile = 128;
    const grid: Grid = [4096 / tile, 4096 / tile, 1];
    const dispatches = (flops: number): number => {
      const limits = new WorkLimits(`test of ${flops}`, { products: flops / 2, visits: 1e10 });
      return [...boxes(grid, limits.products / (tile * tile * 4096))].length;
    };
    expect(dispatches(10e12)).toBe(1);
    // 14 s of work in a tenth of a second each, and rows of 32 workgroups.
    expect(dispatches(10e9)).toBeGreaterThanOrEqual(137);
  });
});
