import { type DeformableSampleAttrs, sizeOf } from "@dfine/tensor";
import { it } from "vitest";
import {
  type DEFORMABLE_RESULTS,
  type DeformableCase,
  type DeformableData,
  deformableData,
  deformableProperties,
  deformableShapes,
  farAway,
} from "../../../tensor/test/deformableProperties.ts";
import { expectClose, type Oracle, zeroSums } from "../../../tensor/test/sums.ts";
import { runOverride } from "../../test/kernelKit.ts";
import { deformableSampleOverride } from "./deformableSample.ts";
import { deformableSampleGradOverride } from "./deformableSampleGrad.ts";

const METHODS = ["bilinear", "discrete"] as const;
type Output = (typeof DEFORMABLE_RESULTS)[number];

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

function oracles(test: DeformableCase, data: DeformableData): Record<Output, Oracle> {
  const { images, queries, heads, depth, attrs } = test;
  const all = deformableShapes(test);
  const [length, points] = [all.value[1]!, all.weights[3]!];
  const blank = (name: keyof typeof all) => zeroSums(sizeOf(all[name]));
  const out = {
    y: blank("dy"),
    dValue: blank("value"),
    dLocations: blank("locations"),
    dWeights: blank("weights"),
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

function check(test: DeformableCase, change: (data: DeformableData) => void = () => {}): void {
  const all = deformableShapes(test);
  const data = deformableData(test);
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
      outputs: (runtime) => [runtime.view(all.dy)],
      attrs: test.attrs,
    },
    ([y]) => expectClose(y!, expected.y),
  );
  runOverride<"deformableSampleGrad">(
    deformableSampleGradOverride,
    {
      inputs: (runtime) => [
        runtime.view(all.dy, data.dy),
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

for (const method of METHODS) deformableProperties(method, check, { runs: 60 });

it.each(METHODS)("NaN in a value reaches only who samples it, %s", (method) => {
  const { test, locations } = farAway(method);
  check(test, (data) => {
    data.locations.set(locations);
    data.value[7] = Number.NaN;
  });
});
