import type { DeformableSampleAttrs } from "@dfine/tensor";
import fc from "fast-check";
import { describe, it } from "vitest";
import { expectClose, numbers, type Oracle } from "../../../tensor/test/sums.ts";
import { runOverride } from "../../test/kernelKit.ts";
import { deformableSampleOverride } from "./deformableSample.ts";
import { deformableSampleGradOverride } from "./deformableSampleGrad.ts";

interface Case {
  readonly images: number;
  readonly queries: number;
  readonly heads: number;
  readonly depth: number;
  readonly attrs: DeformableSampleAttrs;
}

interface Data {
  readonly value: ArrayLike<number>;
  readonly locations: ArrayLike<number>;
  readonly weights: ArrayLike<number>;
  readonly dy: ArrayLike<number>;
}

const OUTPUTS = ["y", "dValue", "dLocations", "dWeights"] as const;
type Output = (typeof OUTPUTS)[number];

function shapes({ images, queries, heads, depth, attrs: { levels } }: Case) {
  const length = levels.reduce((sum, { height, width }) => sum + height * width, 0);
  const points = levels.reduce((sum, level) => sum + level.points, 0);
  return {
    value: [images, length, heads, depth],
    locations: [images, queries, heads, points, 2],
    weights: [images, queries, heads, points],
    y: [images, queries, heads * depth],
  };
}

const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Pixels that a location touches, with their share and the share's slopes. The location's arithmetic is in float32. */
function pixels(
  { width, height }: { width: number; height: number },
  [lx, ly]: readonly [number, number],
  method: DeformableSampleAttrs["method"],
) {
  const [sx, sy] = [Math.fround(lx * width), Math.fround(ly * height)];
  if (method === "discrete") {
    const pick = (s: number, n: number) => Math.min(Math.max(Math.trunc(Math.fround(s + 0.5)), 0), n - 1);
    return [{ x: pick(sx, width), y: pick(sy, height), share: 1, slopeX: 0, slopeY: 0 }];
  }
  const [px, py] = [Math.fround(sx - 0.5), Math.fround(sy - 0.5)];
  const found = [];
  for (const y of [Math.floor(py), Math.floor(py) + 1])
    for (const x of [Math.floor(px), Math.floor(px) + 1]) {
      if (x < 0 || x >= width || y < 0 || y >= height) continue;
      const [wx, wy] = [1 - Math.abs(px - x), 1 - Math.abs(py - y)];
      const [dx, dy] = [x > px ? 1 : -1, y > py ? 1 : -1];
      found.push({ x, y, share: wx * wy, slopeX: dx * wy * width, slopeY: dy * wx * height });
    }
  return found;
}

function oracles(test: Case, data: Data): Record<Output, Oracle> {
  const { images, queries, heads, depth, attrs } = test;
  const all = shapes(test);
  const [length, points] = [all.value[1]!, all.weights[3]!];
  const blank = (shape: readonly number[]) => ({
    values: new Array<number>(size(shape)).fill(0),
    magnitudes: new Array<number>(size(shape)).fill(0),
  });
  const out = {
    y: blank(all.y),
    dValue: blank(all.value),
    dLocations: blank(all.locations),
    dWeights: blank(all.weights),
  };
  const add = (target: Output, i: number, term: number) => {
    out[target].values[i]! += term;
    // A share is 1 minus a difference: its rounding is relative to 1, however small it comes out.
    out[target].magnitudes[i]! += Math.abs(term) + 1;
  };
  for (let b = 0; b < images; b++)
    for (let q = 0; q < queries; q++)
      for (let h = 0; h < heads; h++) {
        let [p, start] = [0, 0];
        for (const level of attrs.levels) {
          for (let i = 0; i < level.points; i++, p++) {
            const w = ((b * queries + q) * heads + h) * points + p;
            const at = [data.locations[w * 2]!, data.locations[w * 2 + 1]!] as const;
            for (const { x, y, share, slopeX, slopeY } of pixels(level, at, attrs.method)) {
              const v = ((b * length + start + y * level.width + x) * heads + h) * depth;
              const o = (b * queries + q) * heads * depth + h * depth;
              for (let d = 0; d < depth; d++) {
                const [value, dy, weight] = [data.value[v + d]!, data.dy[o + d]!, data.weights[w]!];
                add("y", o + d, weight * share * value);
                add("dValue", v + d, weight * share * dy);
                add("dWeights", w, share * value * dy);
                add("dLocations", w * 2, weight * slopeX * value * dy);
                add("dLocations", w * 2 + 1, weight * slopeY * value * dy);
              }
            }
          }
          start += level.width * level.height;
        }
      }
  return out;
}

function check(test: Case, change: (data: { [K in keyof Data]: Float32Array }) => void = () => {}): void {
  const all = shapes(test);
  const data = {
    value: numbers(size(all.value), 1),
    locations: numbers(size(all.locations), 2).map((x) => 0.5 + x * 0.8),
    weights: numbers(size(all.weights), 3),
    dy: numbers(size(all.y), 4),
  };
  change(data);
  const expected = oracles(test, data);
  runOverride<"deformableSample">(
    deformableSampleOverride,
    {
      inputs: (runtime) => [
        runtime.view(all.value, data.value),
        runtime.view(all.locations, data.locations),
        runtime.view(all.weights, data.weights),
      ],
      outputs: (runtime) => [runtime.view(all.y)],
      attrs: test.attrs,
    },
    ([y]) => expectClose(y!, expected.y),
  );
  runOverride<"deformableSampleGrad">(
    deformableSampleGradOverride,
    {
      inputs: (runtime) => [
        runtime.view(all.y, data.dy),
        runtime.view(all.value, data.value),
        runtime.view(all.locations, data.locations),
        runtime.view(all.weights, data.weights),
      ],
      outputs: (runtime) => [runtime.view(all.value), runtime.view(all.locations), runtime.view(all.weights)],
      attrs: test.attrs,
    },
    ([dValue, dLocations, dWeights]) => {
      expectClose(dValue!, expected.dValue);
      expectClose(dLocations!, expected.dLocations);
      expectClose(dWeights!, expected.dWeights);
    },
  );
}

describe.each(["bilinear", "discrete"] as const)("deformableSample and its gradient, %s", (method) => {
  it.each([16, 32, 5, 1])("depth %i on two oblong levels", (depth) => {
    const levels = [
      { height: 4, width: 7, points: 6 },
      { height: 2, width: 3, points: 6 },
    ];
    check({ images: 2, queries: 9, heads: 3, depth, attrs: { method, levels } });
  });

  it("any levels", () => {
    const small = (max: number) => fc.integer({ min: 1, max });
    const level = fc.record({ height: small(6), width: small(6), points: small(4) });
    const cases = fc.record({
      images: small(2),
      queries: small(6),
      heads: small(3),
      depth: small(20),
      attrs: fc.record({ method: fc.constant(method), levels: fc.array(level, { minLength: 1, maxLength: 3 }) }),
    });
    fc.assert(
      fc.property(cases, (test) => check(test)),
      { numRuns: 60 },
    );
  });

  it("far away locations read nothing outside the maps, and NaN in a value reaches only who samples it", () => {
    const levels = [{ height: 3, width: 4, points: 5 }];
    check({ images: 1, queries: 2, heads: 1, depth: 6, attrs: { method, levels } }, ({ locations, value }) => {
      locations.set([1e30, 0.5, -1e30, 0.5, 0.5, 4e9, 0.5, -7, 0.4, 0.6]);
      value[7] = Number.NaN;
    });
  });
});
