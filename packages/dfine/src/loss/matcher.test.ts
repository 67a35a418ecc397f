import { tensor } from "@dfine/tensor";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { NO_PACK, referenceJson } from "../../../../parity/referencePack.ts";
import { expectClose, inFloat64 } from "../../test/differences.ts";
import { matchingCost } from "../../test/lossOracles.ts";
import type { MatcherConfig } from "../config/config.ts";
import { hungarianMatch, leastCostPairs, type Matchable, MatcherError, matchingCosts } from "./matcher.ts";
import type { Floats, MatchedPairs, MatchTargets } from "./matches.ts";

beforeAll(() => inFloat64(() => undefined));

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

interface Arrays {
  readonly logits: Floats;
  readonly boxes: Floats;
}

/** Predictions of images, given one after another. */
const matchable = ({ logits, boxes }: Arrays, images = 1): Matchable => {
  const queries = boxes.length / 4 / images;
  return {
    logits: tensor(logits, [images, queries, queries === 0 ? 1 : logits.length / queries / images]),
    boxes: tensor(boxes, [images, queries, 4]),
  };
};

/** Costs [Q, n] of one image. */
const costsOf = async (prediction: Arrays, targets: MatchTargets, config: MatcherConfig): Promise<Floats> =>
  (await matchingCosts(matchable(prediction), [targets], config).data()) as Floats;

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
  test("class cost of the example in docs/specification.md §9", async () => {
    const prediction = { logits: Float64Array.of(-1), boxes: Float64Array.of(0.5, 0.5, 0.1, 0.1) };
    const target = { labels: new Int32Array(1), boxes: prediction.boxes };
    const [cost] = await costsOf(prediction, target, { ...options, classWeight: 1, giouWeight: 0 });
    expect(cost).toBeCloseTo(0.158474, 6);
  });

  test("is the sum that §9 writes down", async () => {
    await fc.assert(
      fc.asyncProperty(image, async ({ targets, ...prediction }) => {
        const queries = prediction.boxes.length / 4;
        const count = targets.labels.length;
        const expected = Float64Array.from({ length: queries * count }, (_, i) => {
          const [q, t] = [Math.floor(i / count), i % count];
          return matchingCost({ ...prediction, queries }, targets, { ...options, b: 0, q, t });
        });
        expectClose(await costsOf(prediction, targets, options), expected, 1e-6);
      }),
    );
  });

  test("GIoU of the reference pack", async (context) => {
    const unit = referenceJson<{ a_cxcywh: Tensor; b_cxcywh: Tensor; giou: Tensor }>("units/box_iou.json");
    if (!unit) return context.skip(NO_PACK);
    const [rows, columns] = unit.giou.shape as [number, number];
    const prediction = { logits: new Float64Array(rows), boxes: Float64Array.from(unit.a_cxcywh.data) };
    const targets = { labels: new Int32Array(columns), boxes: Float64Array.from(unit.b_cxcywh.data) };
    const giou = await costsOf(prediction, targets, giouOnly);
    giou.forEach((value, i) => {
      expect(Math.abs(value - unit.giou.data[i]!)).toBeLessThan(1e-7);
    });
  });

  test("GIoU is 1 for equal boxes, negative for distant ones, symmetric, and blind to scale and place", async () => {
    const giou = async (a: number[], b: number[]) =>
      (
        await costsOf(
          { logits: new Float64Array(1), boxes: Float64Array.from(a) },
          { labels: new Int32Array(1), boxes: Float64Array.from(b) },
          giouOnly,
        )
      )[0]!;
    const moved = (box: number[]) => [box[0]! * 3 + 1, box[1]! * 3 - 2, box[2]! * 3, box[3]! * 3];
    await fc.assert(
      fc.asyncProperty(unitBox, unitBox, async (a, b) => {
        expect(await giou(a, a)).toBeCloseTo(1, 9);
        expect(await giou(a, b)).toBeCloseTo(await giou(b, a), 9);
        expect(await giou(moved(a), moved(b))).toBeCloseTo(await giou(a, b), 9);
        expect(await giou(a, [b[0]! + 50, b[1]!, b[2]!, b[3]!])).toBeLessThan(0);
      }),
    );
  });

  test("that is NaN counts as 1, and infinity as the largest float32", () => {
    const targets = [{ labels: new Int32Array(1), boxes: new Float64Array(4) }];
    const largest = new Float32Array(new Uint32Array([0x7f7fffff]).buffer)[0]!;
    const better = (a: number, b: number): number => leastCostPairs(Float64Array.of(a, b), targets)[0]!.queries[0]!;
    expect([better(Number.NaN, 0.9), better(Number.NaN, 1.1)]).toEqual([1, 0]);
    expect([better(Number.POSITIVE_INFINITY, largest * 0.99), better(Number.NEGATIVE_INFINITY, 0)]).toEqual([1, 0]);
    expect(better(Number.POSITIVE_INFINITY, largest * 1.01)).toBe(0);
  });

  test("of broken boxes, and of two empty ones at one point, is NaN", async () => {
    const target = { labels: Int32Array.from([0]), boxes: Float64Array.from([0.5, 0.5, 0, 0]) };
    const cost = async (box: number[]) =>
      (await costsOf({ logits: new Float64Array(1), boxes: Float64Array.from(box) }, target, options))[0];
    expect(await cost([0.5, 0.5, 0, 0])).toBeNaN();
    expect(await cost([Number.NaN, 0.5, 0.1, 0.1])).toBeNaN();
  });
});

describe("hungarianMatch", () => {
  test("picks the cheapest pairs of all, queries ascending", async () => {
    await fc.assert(
      fc.asyncProperty(image, async ({ targets, ...prediction }) => {
        const queries = prediction.boxes.length / 4;
        const count = targets.labels.length;
        const cost = await costsOf(prediction, targets, options);
        const found = (await hungarianMatch([matchable(prediction)], [targets], options))[0]![0]!;
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

  test("gives the pairs of the reference pack", async (context) => {
    const units = referenceJson<MatcherUnit[]>("units/matcher.json");
    if (!units) return context.skip(NO_PACK);
    for (const { logits, boxes, targets, indices } of units) {
      const set = { logits: tensor(logits.data, logits.shape), boxes: tensor(boxes.data, boxes.shape) };
      const wanted = targets.map(({ labels, boxes }) => ({
        labels: Int32Array.from(labels),
        boxes: Float32Array.from(boxes.data),
      }));
      const [found] = await hungarianMatch([set], wanted, options);
      expect(found!.map((pairs) => [[...pairs.queries], [...pairs.targets]])).toEqual(indices);
    }
  });

  test("images of a batch are matched independently", async () => {
    await fc.assert(
      fc.asyncProperty(image, async ({ targets, ...prediction }) => {
        const none = { labels: new Int32Array(), boxes: new Float64Array() };
        const twice = (values: Float64Array) => Float64Array.from([...values, ...values]);
        const batch = matchable({ logits: twice(prediction.logits), boxes: twice(prediction.boxes) }, 2);
        const [[first, second]] = (await hungarianMatch([batch], [none, targets], options)) as [MatchedPairs[]];
        expect(first?.queries.length).toBe(0);
        expect(second).toEqual((await hungarianMatch([matchable(prediction)], [targets], options))[0]![0]);
      }),
    );
  });

  test("refuses labels and sizes that do not fit", () => {
    const set = matchable({ logits: new Float64Array(6), boxes: new Float64Array(8) });
    const targets = { labels: Int32Array.from([3]), boxes: new Float64Array(4) };
    const costs = (given: Matchable, ...wanted: MatchTargets[]) => matchingCosts(given, wanted, options);
    expect(() => costs(set, targets)).toThrow(/label 3 is none of 3 classes/);
    expect(() => costs(set, { ...targets, boxes: new Float64Array(3) })).toThrow(MatcherError);
    expect(() => costs({ ...set, boxes: tensor(new Float64Array(7), [1, 7]) }, targets)).toThrow(MatcherError);
    expect(() => costs(set, targets, targets)).toThrow(/1 images, targets of 2/);
  });
});
