import { type Tensor, tensor } from "@dfine/tensor";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { differences, expectClose, gradientOf, inFloat64 } from "../../test/differences.ts";
import { boxGiou, boxIou, giouLoss, l1Loss } from "./boxes.ts";
import { distillationBalance, distillationLoss, rowCounts } from "./distillation.ts";
import { fineGrainedLoss } from "./fineGrained.ts";
import { focalLoss, varifocalLoss } from "./varifocal.ts";

const ints = (values: readonly number[], shape: readonly number[]): Tensor => tensor(Int32Array.from(values), shape);
const floats = (values: readonly number[], shape: readonly number[]): Tensor =>
  tensor(Float64Array.from(values), shape);
const array = <T>(length: number, of: fc.Arbitrary<T>) => fc.array(of, { minLength: length, maxLength: length });
const number = (min: number, max: number) => fc.double({ min, max, noNaN: true });

// Oracles straight from the specification's formulas, one number at a time.
const add = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const crossEntropy = (x: number, q: number): number => -q * Math.log(sigmoid(x)) - (1 - q) * Math.log(1 - sigmoid(x));
const softmax = (row: readonly number[]): number[] => {
  const e = row.map(Math.exp);
  return e.map((value) => value / add(e));
};

describe("classification", () => {
  test("VFL of the specification's example", () =>
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

/** Left, top, right and bottom of a box; negative sides count as 0. */
function edges([cx, cy, w, h]: readonly number[]): [number, number, number, number] {
  const [half, tall] = [Math.max(w!, 0) / 2, Math.max(h!, 0) / 2];
  return [cx! - half, cy! - tall, cx! + half, cy! + tall];
}

/** GIoU and IoU of two boxes (cxcywh) by the specification's formulas. */
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

describe("FGL", () => {
  test("the specification's example", () =>
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

describe("DDF", () => {
  test("the specification's example", () =>
    inFloat64(async () => {
      const row = (slope: number) => Array.from({ length: 3 * 132 }, (_, i) => slope * (i % 33));
      const logit = (p: number) => Math.log(p / (1 - p));
      const loss = distillationLoss({
        student: floats(row(0.1), [1, 1, 3, 132]),
        teacher: {
          corners: floats(row(0.2), [1, 1, 3, 132]),
          logits: floats([logit(0.9), -9, logit(0.3), -1, -3, logit(0.1)], [1, 1, 3, 2]),
        },
        ious: floats([0.8, 0.5, 0.5], [1, 1, 3]),
        labels: ints([1, -1, -1], [1, 1, 3]),
        balance: distillationBalance(1, 3, rowCounts(1, 3, 1)),
        temperature: 5,
      });
      expect(await loss.item()).toBeCloseTo(0.191402, 6);
    }));

  const bins = 5;
  const size = 3 * 4 * bins;
  const shape = [1, 1, 3, 4 * bins];
  const given = fc.record({
    student: array(size, number(-4, 4)),
    teacher: array(size, number(-4, 4)),
    logits: array(6, number(-4, 4)),
    ious: array(3, number(0, 1)),
    labels: array(3, fc.integer({ min: -1, max: 1 })),
    temperature: number(1, 6),
  });
  type Given = Parameters<Parameters<typeof given.map>[0]>[0];
  const inputsOf = ({ teacher, logits, ious, labels, temperature }: Given) => {
    const matched = labels.filter((label) => label >= 0).length;
    return {
      teacher: { corners: floats(teacher, shape), logits: floats(logits, [1, 1, 3, 2]) },
      ious: floats(ious, [1, 1, 3]),
      labels: ints(labels, [1, 1, 3]),
      balance: distillationBalance(matched, 3, rowCounts(matched, 3, 1)),
      temperature,
    };
  };

  test("formula and gradient, whatever is matched", () =>
    fc.assert(
      fc.asyncProperty(given, (values) =>
        inFloat64(async () => {
          const { student, teacher, logits, ious, labels, temperature: t } = values;
          const loss = (x: Tensor) => distillationLoss({ ...inputsOf(values), student: x });
          const oracle = (moved: readonly number[]) => {
            const scaled = (list: readonly number[], edge: number) =>
              softmax(list.slice(edge * bins, (edge + 1) * bins).map((x) => x / t));
            const rows = Array.from({ length: 12 }, (_, edge) => {
              const query = Math.floor(edge / 4);
              const weight =
                labels[query]! < 0 ? sigmoid(Math.max(logits[2 * query]!, logits[2 * query + 1]!)) : ious[query]!;
              const [p, q] = [scaled(teacher, edge), scaled(moved, edge)];
              return {
                isMatched: labels[query]! >= 0,
                value: weight * t * t * add(p.map((x, i) => x * Math.log(x / q[i]!))),
              };
            });
            const kind = (isMatched: boolean) => {
              const list = rows.filter((row) => row.isMatched === isMatched).map(({ value }) => value);
              return { mean: list.length ? add(list) / list.length : 0, count: Math.sqrt(list.length * 8) };
            };
            const [yes, no] = [kind(true), kind(false)];
            return (yes.mean * yes.count + no.mean * no.count) / (yes.count + no.count);
          };
          expect(await loss(floats(student, shape)).item()).toBeCloseTo(oracle(student), 9);
          expectClose(await gradientOf(loss, student, shape), differences(oracle, student));
        }),
      ),
      { numRuns: 50 },
    ));

  test("a student equal to its teacher loses nothing and learns nothing", () =>
    fc.assert(
      fc.asyncProperty(given, (values) =>
        inFloat64(async () => {
          const loss = (x: Tensor) =>
            distillationLoss({ ...inputsOf({ ...values, teacher: values.student }), student: x });
          expect(await loss(floats(values.student, shape)).item()).toBe(0);
          const gradient = await gradientOf(loss, values.student, shape);
          expect(Array.from(gradient).every((g) => g === 0)).toBe(true);
        }),
      ),
      { numRuns: 20 },
    ));

  test("counts of the ordinary queries balance denoising ones", () => {
    const ordinary = rowCounts(9, 600, 2);
    const { matched, unmatched } = distillationBalance(50, 400, ordinary);
    const [yes, no] = [Math.sqrt((36 * 8) / 2), Math.sqrt((2364 * 8) / 2)];
    expect(matched * 200).toBeCloseTo(yes / (yes + no), 12);
    expect(unmatched * 1400).toBeCloseTo(no / (yes + no), 12);
    expect(distillationBalance(0, 400, ordinary).matched).toBe(0);
    const empty = distillationBalance(0, 5, rowCounts(0, 5, 1));
    expect(empty.matched).toBe(0);
    expect(empty.unmatched).toBeCloseTo(1 / 20, 12);
  });
});
