import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { NO_PACK, referenceJson } from "../../../../parity/referencePack.ts";
import type { MatcherConfig } from "../config/config.ts";
import { classCost, hungarianMatch, hungarianMatchBatch, MatcherError, matchingCost } from "./matcher.ts";

const options: MatcherConfig = { classWeight: 2, bboxWeight: 5, giouWeight: 2, alpha: 0.25, gamma: 2 };
const giouOnly: MatcherConfig = { ...options, classWeight: 0, bboxWeight: 0, giouWeight: -1 };

interface Tensor {
  shape: number[];
  data: number[];
}

interface MatcherUnit {
  logits: Tensor;
  boxes: Tensor;
  targets: { labels: number[]; boxes: Tensor }[];
  indices: [number[], number[]][];
}

const unitBox = fc.tuple(...[0, 1, 2, 3].map(() => fc.double({ min: 0.05, max: 0.95, noNaN: true })));
const image = fc
  .tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 0, max: 5 }), fc.integer({ min: 1, max: 3 }))
  .chain(([queries, count, classes]) =>
    fc.record({
      logits: fc
        .array(fc.double({ min: -5, max: 5, noNaN: true }), {
          minLength: queries * classes,
          maxLength: queries * classes,
        })
        .map((values) => Float64Array.from(values)),
      boxes: fc
        .array(unitBox, { minLength: queries, maxLength: queries })
        .map((rows) => Float64Array.from(rows.flat())),
      targets: fc.record({
        labels: fc
          .array(fc.nat(classes - 1), { minLength: count, maxLength: count })
          .map((values) => Int32Array.from(values)),
        boxes: fc.array(unitBox, { minLength: count, maxLength: count }).map((rows) => Float64Array.from(rows.flat())),
      }),
    }),
  );

describe("matching cost", () => {
  test("class cost of the example in docs/specification.md §9", () => {
    expect(classCost(-1, 0.25, 2)).toBeCloseTo(0.158474, 6);
  });

  test("GIoU of the reference pack", (context) => {
    const unit = referenceJson<{ a_cxcywh: Tensor; b_cxcywh: Tensor; giou: Tensor }>("units/box_iou.json");
    if (!unit) return context.skip(NO_PACK);
    const [rows, columns] = unit.giou.shape as [number, number];
    const prediction = { logits: new Float64Array(rows), boxes: Float64Array.from(unit.a_cxcywh.data) };
    const targets = { labels: new Int32Array(columns), boxes: Float64Array.from(unit.b_cxcywh.data) };
    const giou = matchingCost(prediction, targets, giouOnly);
    giou.forEach((value, i) => {
      expect(Math.abs(value - unit.giou.data[i]!)).toBeLessThan(1e-7);
    });
  });

  test("GIoU is 1 for equal boxes, negative for distant ones, symmetric, and blind to scale and place", () => {
    const giou = (a: number[], b: number[]) =>
      matchingCost(
        { logits: new Float64Array(1), boxes: Float64Array.from(a) },
        { labels: new Int32Array(1), boxes: Float64Array.from(b) },
        giouOnly,
      )[0]!;
    const moved = (box: number[]) => [box[0]! * 3 + 1, box[1]! * 3 - 2, box[2]! * 3, box[3]! * 3];
    fc.assert(
      fc.property(unitBox, unitBox, (a, b) => {
        expect(giou(a, a)).toBeCloseTo(1, 9);
        expect(giou(a, b)).toBeCloseTo(giou(b, a), 9);
        expect(giou(moved(a), moved(b))).toBeCloseTo(giou(a, b), 9);
        expect(giou(a, [b[0]! + 50, b[1]!, b[2]!, b[3]!])).toBeLessThan(0);
      }),
    );
  });

  test("replaces NaN by 1 and infinity by the largest float32", () => {
    const target = { labels: Int32Array.from([0]), boxes: Float64Array.from([0.5, 0.5, 0, 0]) };
    const cost = (box: number[], config: MatcherConfig) =>
      matchingCost({ logits: new Float64Array(1), boxes: Float64Array.from(box) }, target, config)[0];
    const largest = new Float32Array(new Uint32Array([0x7f7fffff]).buffer)[0];
    const empty = [0.5, 0.5, 0, 0];
    // Two empty boxes at one point have GIoU 0/0; a broken box has no cost at all.
    expect(cost(empty, options)).toBe(1);
    expect(cost([Number.NaN, 0.5, 0.1, 0.1], options)).toBe(1);
    expect(cost([0.4, 0.5, 0.1, 0.1], { ...options, bboxWeight: Number.POSITIVE_INFINITY })).toBe(largest);
    expect(cost([0.4, 0.5, 0.1, 0.1], { ...options, bboxWeight: Number.NEGATIVE_INFINITY })).toBe(-largest!);
  });
});

describe("hungarianMatch", () => {
  test("picks the cheapest pairs of all, queries ascending", () => {
    fc.assert(
      fc.property(image, ({ targets, ...prediction }) => {
        const queries = prediction.boxes.length / 4;
        const count = targets.labels.length;
        const cost = matchingCost(prediction, targets, options);
        const found = hungarianMatch(prediction, targets, options);
        const least = (target: number, used: number, skips: number): number => {
          if (target === count) return 0;
          let best = skips > 0 ? least(target + 1, used, skips - 1) : Number.POSITIVE_INFINITY;
          for (let query = 0; query < queries; query++)
            if (!(used & (1 << query)))
              best = Math.min(best, cost[query * count + target]! + least(target + 1, used | (1 << query), skips));
          return best;
        };
        const total = found.queries.reduce((sum, query, i) => sum + cost[query * count + found.targets[i]!]!, 0);
        expect(total).toBeCloseTo(least(0, 0, Math.max(0, count - queries)), 9);
        expect([...found.queries]).toEqual([...new Set(found.queries)].sort((a, b) => a - b));
      }),
    );
  });

  test("gives the pairs of the reference pack", (context) => {
    const units = referenceJson<MatcherUnit[]>("units/matcher.json");
    if (!units) return context.skip(NO_PACK);
    for (const { logits, boxes, targets, indices } of units) {
      const found = hungarianMatchBatch(
        { logits: Float32Array.from(logits.data), boxes: Float32Array.from(boxes.data) },
        targets.map(({ labels, boxes }) => ({ labels: Int32Array.from(labels), boxes: Float32Array.from(boxes.data) })),
        options,
      );
      expect(found.map((pairs) => [[...pairs.queries], [...pairs.targets]])).toEqual(indices);
    }
  });

  test("images of a batch are matched independently", () => {
    fc.assert(
      fc.property(image, ({ targets, ...prediction }) => {
        const none = { labels: new Int32Array(), boxes: new Float64Array() };
        const twice = (values: Float64Array) => Float64Array.from([...values, ...values]);
        const batch = { logits: twice(prediction.logits), boxes: twice(prediction.boxes) };
        const [first, second] = hungarianMatchBatch(batch, [none, targets], options);
        expect(first?.queries.length).toBe(0);
        expect(second).toEqual(hungarianMatch(prediction, targets, options));
      }),
    );
  });

  test("refuses labels and sizes that do not fit", () => {
    const prediction = { logits: new Float32Array(6), boxes: new Float32Array(8) };
    const targets = { labels: Int32Array.from([3]), boxes: new Float32Array(4) };
    expect(() => hungarianMatch(prediction, targets, options)).toThrow(/label 3 is none of 3 classes/);
    expect(() => hungarianMatch(prediction, { ...targets, boxes: new Float32Array(3) }, options)).toThrow(MatcherError);
    expect(() => hungarianMatch({ ...prediction, boxes: new Float32Array(7) }, targets, options)).toThrow(MatcherError);
    expect(() => hungarianMatchBatch(prediction, [targets, targets, targets, targets, targets], options)).toThrow(
      /split into 5/,
    );
  });
});
