import type { Tensor } from "@dfine/tensor";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { differences, expectClose, gradientOf, inFloat64 } from "../../test/differences.ts";
import { add, array, floats, ints, number, softmax } from "../../test/lossOracles.ts";
import { fineGrainedLoss } from "./fineGrained.ts";

describe("FGL", () => {
  test("the example of docs/specification.md §11", () =>
    inFloat64(async () => {
      const corners = Array.from({ length: 132 }, (_, i) => 0.1 * (i % 33));
      const right = [0.519804, 0.585203, 0.585203, 0.480196];
      const edges = {
        bins: ints([13, 20, 20, 18], [1, 1, 1, 4]),
        weightRight: floats(right, [1, 1, 1, 4]),
        weightLeft: floats(
          right.map((w) => 1 - w),
          [1, 1, 1, 4],
        ),
      };
      const loss = fineGrainedLoss(floats(corners, [1, 1, 1, 132]), edges, floats([0.498029], [1, 1, 1]));
      expect(await loss.item()).toBeCloseTo(7.341596, 5);
    }));

  const bins = 5;
  const shape = [1, 1, 2, 4 * bins];
  const given = fc.record({
    corners: array(8 * bins, number(-4, 4)),
    bin: array(8, fc.integer({ min: 0, max: bins - 2 })),
    left: array(8, number(0, 1)),
    weight: array(2, number(0, 1)),
  });
  test("formula and gradient", () =>
    fc.assert(
      fc.asyncProperty(given, ({ corners, bin, left, weight }) =>
        inFloat64(async () => {
          const edges = {
            bins: ints(bin, [1, 1, 2, 4]),
            weightLeft: floats(left, [1, 1, 2, 4]),
            weightRight: floats(
              left.map((w) => 1 - w),
              [1, 1, 2, 4],
            ),
          };
          const loss = (x: Tensor) => fineGrainedLoss(x, edges, floats(weight, [1, 1, 2]));
          const oracle = (values: readonly number[]) =>
            add(
              bin.map((n, edge) => {
                const p = softmax(values.slice(edge * bins, (edge + 1) * bins));
                const entropy = -left[edge]! * Math.log(p[n]!) - (1 - left[edge]!) * Math.log(p[n + 1]!);
                return weight[Math.floor(edge / 4)]! * entropy;
              }),
            );
          expect(await loss(floats(corners, shape)).item()).toBeCloseTo(oracle(corners), 9);
          expectClose(await gradientOf(loss, corners, shape), differences(oracle, corners));
        }),
      ),
      { numRuns: 50 },
    ));
});
