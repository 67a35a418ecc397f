import type { Tensor } from "@dfine/tensor";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { differences, expectClose, gradientOf, inFloat64 } from "../../test/differences.ts";
import { add, array, crossEntropy, floats, ints, number, sigmoid } from "../../test/lossOracles.ts";
import { focalLoss } from "./focal.ts";
import { varifocalLoss } from "./varifocal.ts";

describe("classification", () => {
  test("VFL of the example of docs/specification.md §11", () =>
    inFloat64(async () => {
      const loss = varifocalLoss({
        logits: floats([0.5, -1, 0, -2], [1, 1, 2, 2]),
        labels: ints([1, -1], [1, 1, 2]),
        ious: floats([0.7, 0.9], [1, 1, 2]),
        alpha: 0.75,
        gamma: 2,
      });
      expect(await loss.item()).toBeCloseTo(1.12366, 6);
    }));

  const shape = [1, 2, 2, 3];
  const given = fc.record({
    logits: array(12, number(-5, 5)),
    labels: array(4, fc.integer({ min: -1, max: 2 })),
    ious: array(4, number(0, 1)),
    gamma: number(0.5, 4),
  });

  test("VFL: formula, and its gradient with weight and target held still", () =>
    fc.assert(
      fc.asyncProperty(given, ({ logits, labels, ious, gamma }) =>
        inFloat64(async () => {
          const loss = (x: Tensor) =>
            varifocalLoss({
              logits: x,
              labels: ints(labels, [1, 2, 2]),
              ious: floats(ious, [1, 2, 2]),
              alpha: 0.75,
              gamma,
            });
          const oracle = (moved: readonly number[]) =>
            add(
              moved.map((x, i) => {
                const query = Math.floor(i / 3);
                const isTarget = labels[query] === i % 3;
                const q = isTarget ? ious[query]! : 0;
                const weight = 0.75 * sigmoid(logits[i]!) ** gamma * (isTarget ? 0 : 1) + q;
                return weight * crossEntropy(x, q);
              }),
            );
          expect(await loss(floats(logits, shape)).item()).toBeCloseTo(oracle(logits), 9);
          expectClose(await gradientOf(loss, logits, shape), differences(oracle, logits));
        }),
      ),
      { numRuns: 50 },
    ));

  test("focal loss: formula and gradient", () =>
    fc.assert(
      fc.asyncProperty(given, ({ logits, labels, gamma }) =>
        inFloat64(async () => {
          const loss = (x: Tensor) => focalLoss({ logits: x, labels: ints(labels, [1, 2, 2]), alpha: 0.75, gamma });
          const oracle = (moved: readonly number[]) =>
            add(
              moved.map((x, i) => {
                const isTarget = labels[Math.floor(i / 3)] === i % 3;
                const right = isTarget ? sigmoid(x) : 1 - sigmoid(x);
                return (isTarget ? 0.75 : 0.25) * (1 - right) ** gamma * -Math.log(right);
              }),
            );
          expect(await loss(floats(logits, shape)).item()).toBeCloseTo(oracle(logits), 9);
          expectClose(await gradientOf(loss, logits, shape), differences(oracle, logits));
        }),
      ),
      { numRuns: 50 },
    ));

  test("extreme logits give finite losses", () =>
    inFloat64(async () => {
      const logits = floats([-900, 900, 900, -900], [1, 1, 2, 2]);
      const pairs = { logits, labels: ints([0, -1], [1, 1, 2]), alpha: 0.75, gamma: 2 };
      const vfl = await varifocalLoss({ ...pairs, ious: floats([0.5, 0], [1, 1, 2]) }).item();
      expect(vfl).toBeCloseTo(0.5 * 450 + 0.75 * 900 * 2, 6);
      expect(await focalLoss(pairs).item()).toBeCloseTo(0.75 * 900 + 0.25 * 900 * 2, 6);
    }));
});
