import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { differences, expectClose, gradientOf, inFloat64 } from "../../test/differences.ts";
import { add, array, floats, ints } from "../../test/lossOracles.ts";
import { boxGiou, boxIou, giouLoss, l1Loss } from "./boxOverlap.ts";

/** Left, top, right and bottom of a box; negative sides count as 0. */
function edges([cx, cy, w, h]: readonly number[]): [number, number, number, number] {
  const [half, tall] = [Math.max(w!, 0) / 2, Math.max(h!, 0) / 2];
  return [cx! - half, cy! - tall, cx! + half, cy! + tall];
}

/** GIoU and IoU of two boxes (cxcywh) by the formulas of docs/specification.md §7. */
function overlap(a: readonly number[], b: readonly number[]): { iou: number; giou: number } {
  const [p, q] = [edges(a), edges(b)];
  const area = (e: readonly number[]) => (e[2]! - e[0]!) * (e[3]! - e[1]!);
  const inter =
    Math.max(0, Math.min(p[2], q[2]) - Math.max(p[0], q[0])) * Math.max(0, Math.min(p[3], q[3]) - Math.max(p[1], q[1]));
  const union = area(p) + area(q) - inter;
  const hull = (Math.max(p[2], q[2]) - Math.min(p[0], q[0])) * (Math.max(p[3], q[3]) - Math.min(p[1], q[1]));
  return { iou: inter / union, giou: inter / union - (hull - union) / hull };
}

describe("boxes", () => {
  // Boxes and targets lie on two grids, so that no edges, centres or sides meet where a loss has a kink.
  const box = (shift: readonly [number, number]) =>
    fc
      .tuple(fc.nat(1000), fc.nat(1000), fc.integer({ min: 50, max: 800 }), fc.integer({ min: 50, max: 800 }))
      .map((values) => values.map((value, k) => value / 1000 + shift[k < 2 ? 0 : 1]));
  const given = fc.record({
    boxes: array(4, box([0, 0])),
    targets: array(4, box([17e-5, 2e-4])),
    labels: array(4, fc.integer({ min: -1, max: 5 })),
  });
  const shape = [1, 2, 2, 4];

  test("IoU and GIoU follow their formulas", () =>
    fc.assert(
      fc.asyncProperty(given, ({ boxes, targets }) =>
        inFloat64(async () => {
          const [a, b] = [floats(boxes.flat(), shape), floats(targets.flat(), shape)];
          const [iou, giou] = [await boxIou(a, b).data(), await boxGiou(a, b).data()];
          boxes.forEach((one, i) => {
            const wanted = overlap(one, targets[i]!);
            expect(iou[i]).toBeCloseTo(wanted.iou, 9);
            expect(giou[i]).toBeCloseTo(wanted.giou, 9);
          });
        }),
      ),
    ));

  test("GIoU and L1 loss count matched queries only, and so do their gradients", () =>
    fc.assert(
      fc.asyncProperty(given, ({ boxes, targets, labels }) => {
        return inFloat64(async () => {
          const pairs = { targets: floats(targets.flat(), shape), labels: ints(labels, [1, 2, 2]) };
          const rows = (values: readonly number[]) => labels.map((_, i) => values.slice(4 * i, 4 * i + 4));
          const overMatched =
            (term: (row: readonly number[], target: readonly number[]) => number) => (values: readonly number[]) =>
              add(rows(values).map((row, i) => (labels[i]! < 0 ? 0 : term(row, targets[i]!))));
          const flat = boxes.flat();
          const cases = [
            [giouLoss, overMatched((row, target) => 1 - overlap(row, target).giou)],
            [l1Loss, overMatched((row, target) => add(row.map((x, k) => Math.abs(x - target[k]!))))],
          ] as const;
          for (const [loss, oracle] of cases) {
            expect(await loss({ boxes: floats(flat, shape), ...pairs }).item()).toBeCloseTo(oracle(flat), 9);
            expectClose(await gradientOf((x) => loss({ boxes: x, ...pairs }), flat, shape), differences(oracle, flat));
          }
        });
      }),
      { numRuns: 50 },
    ));

  test("a broken prediction without a target disturbs nothing", () =>
    inFloat64(async () => {
      const boxes = [Number.NaN, 0.5, 0, 0, 0.5, 0.5, 0.2, 0.2];
      const pairs = {
        targets: floats([0, 0, 0, 0, 0.5, 0.5, 0.4, 0.4], [1, 1, 2, 4]),
        labels: ints([-1, 3], [1, 1, 2]),
      };
      expect(await giouLoss({ boxes: floats(boxes, [1, 1, 2, 4]), ...pairs }).item()).toBeCloseTo(0.75, 12);
      const gradient = await gradientOf((x) => giouLoss({ boxes: x, ...pairs }), boxes, [1, 1, 2, 4]);
      expect(Array.from(gradient).slice(0, 4)).toEqual([0, 0, 0, 0]);
      expect(Array.from(gradient).every(Number.isFinite)).toBe(true);
    }));
});
