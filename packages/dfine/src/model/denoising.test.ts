import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { proceduralDraws } from "../../../../parity/procedural.ts";
import { NO_PACK, referenceBytes, referenceJson } from "../../../../parity/referencePack.ts";
import { decodeFloat32, decodeInt32, readSafetensors } from "../../../nn/src/safetensors.ts";
import type { MatchTargets } from "../loss/matches.ts";
import { type DenoisingOptions, denoisingMask, denoisingQueries } from "./denoising.ts";
import type { DenoisingDraws } from "./outputs.ts";

const CLASSES = 7;
const silent: DenoisingDraws = { labelMask: () => 0.99, label: () => 0, sign: () => 0, magnitude: () => 0 };
const usual = { numDenoising: 100, labelNoiseRatio: 0.5, boxNoiseScale: 1, classes: CLASSES };
const seeded = fc.string().map((salt) => proceduralDraws(salt));

const box = fc
  .tuple(...[0.05, 0.05, 0.01, 0.01].map((min) => fc.double({ min, max: 0.95, noNaN: true })))
  .map((numbers) => numbers as [number, number, number, number]);
const image = fc.array(fc.tuple(fc.nat(CLASSES - 1), box), { maxLength: 8 }).map(
  (objects): MatchTargets => ({
    labels: Int32Array.from(objects, ([label]) => label),
    boxes: Float64Array.from(objects.flatMap(([, numbers]) => numbers)),
  }),
);
const batch = fc.array(image, { minLength: 1, maxLength: 3 });

const objects = (count: number): MatchTargets => ({
  labels: new Int32Array(count).fill(1),
  boxes: Float64Array.from({ length: count * 4 }, (_, i) => (i % 4 < 2 ? 0.5 : 0.2)),
});
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

describe("denoisingQueries", () => {
  // Largest number of boxes, groups, queries: the examples of docs/specification.md §8.
  test.each([
    [1, 100, 200],
    [3, 33, 198],
    [7, 14, 196],
    [150, 1, 300],
  ])("%i boxes make %i groups, %i queries", (most, groups, queries) => {
    const found = denoisingQueries([objects(most), objects(0)], { ...usual, draws: silent });
    expect([found.groups, found.numQueries, found.groupSize]).toEqual([groups, queries, 2 * most]);
  });

  test("a batch without boxes, or with denoising off, has no queries", () => {
    for (const [targets, options] of [
      [[objects(0), objects(0)], usual],
      [[objects(2)], { ...usual, numDenoising: 0 }],
    ] as const) {
      const found = denoisingQueries(targets, { ...options, draws: silent });
      expect([found.numQueries, found.groups, found.labels.length, found.boxesUnact.length]).toEqual([0, 0, 0, 0]);
      expect(found.positives.map(({ queries, targets }) => queries.length + targets.length)).toEqual(
        targets.map(() => 0),
      );
      expect([...denoisingMask(found, 3)]).toEqual(new Array(9).fill(0));
    }
  });

  test("without noise every real query is its target, and padding is a zero box of the extra class", () => {
    const options: DenoisingOptions = { ...usual, labelNoiseRatio: 0, boxNoiseScale: 0, draws: silent };
    fc.assert(
      fc.property(batch, (targets) => {
        const { labels, boxesUnact, numQueries, groupSize } = denoisingQueries(targets, options);
        labels.forEach((label, index) => {
          const target = targets[Math.floor(index / numQueries)]!;
          const j = (index % numQueries) % (groupSize / 2);
          const real = j < target.labels.length;
          expect(label).toBe(real ? target.labels[j] : CLASSES);
          for (let k = 0; k < 4; k++) {
            const value = boxesUnact[index * 4 + k]!;
            if (real) expect(sigmoid(value)).toBeCloseTo(target.boxes[j * 4 + k]!, 5);
            else expect(value).toBeCloseTo(-11.512925, 5);
          }
        });
      }),
    );
  });

  test("positives pair each group's first half with its targets", () => {
    fc.assert(
      fc.property(batch, seeded, (targets, draws) => {
        const { positives, groups, groupSize } = denoisingQueries(targets, { ...usual, draws });
        positives.forEach(({ queries, targets: matched }, b) => {
          const count = targets[b]!.labels.length;
          expect(queries.length).toBe(groups * count);
          queries.forEach((query, t) => {
            expect(t === 0 || query > queries[t - 1]!).toBe(true);
            expect(query % groupSize).toBe(matched[t]);
            expect(matched[t]).toBe(t % count);
          });
        });
      }),
    );
  });

  test("edges move by less than half a side for positives and between half and a whole side for negatives", () => {
    fc.assert(
      fc.property(seeded, box, (draws, [cx, cy, w, h]) => {
        // Inside the image on all sides, so that clipping does not interfere.
        const [x, y, width, height] = [0.4 + cx / 5, 0.4 + cy / 5, w / 5, h / 5];
        const target = { labels: Int32Array.from([2]), boxes: Float64Array.from([x, y, width, height]) };
        const { boxesUnact, groupSize } = denoisingQueries([target], { ...usual, draws });
        for (let query = 0; query < boxesUnact.length / 4; query++) {
          const [ncx, ncy, nw, nh] = [...boxesUnact.subarray(query * 4, query * 4 + 4)].map(sigmoid);
          const negative = query % groupSize >= groupSize / 2;
          for (const [centre, side, noisyCentre, noisySide] of [
            [x, width, ncx!, nw!],
            [y, height, ncy!, nh!],
          ] as const) {
            const shifts = [
              Math.abs(noisyCentre - noisySide / 2 - (centre - side / 2)),
              Math.abs(noisyCentre + noisySide / 2 - (centre + side / 2)),
            ];
            // Crossed edges come back swapped: then each seems to have moved by the other's shift and a side.
            const crossed = [
              Math.abs(noisyCentre + noisySide / 2 - (centre - side / 2)),
              Math.abs(noisyCentre - noisySide / 2 - (centre + side / 2)),
            ];
            const fits = (moves: number[]) =>
              moves.every(
                (move) => move <= (negative ? side : side / 2) + 2e-5 && (!negative || move >= side / 2 - 2e-5),
              );
            expect(fits(shifts) || fits(crossed)).toBe(true);
          }
        }
      }),
    );
  });

  test("noisy boxes lie in the image", () => {
    fc.assert(
      fc.property(batch, seeded, (targets, draws) => {
        for (const value of denoisingQueries(targets, { ...usual, draws }).boxesUnact)
          expect(Math.abs(value)).toBeLessThanOrEqual(11.512926);
      }),
    );
  });

  test("about a quarter of labels is drawn anew, and all are classes", () => {
    const { labels } = denoisingQueries([objects(50), objects(50)], {
      ...usual,
      numDenoising: 5000,
      draws: proceduralDraws("x"),
    });
    const changed = labels.filter((label) => label !== 1).length / labels.length;
    // 10 000 draws a side: a quarter times 6/7, standard deviation below 0.003.
    expect(Math.abs(changed - 0.25 * (6 / 7))).toBeLessThan(0.015);
    expect(new Set(labels)).toEqual(new Set([0, 1, 2, 3, 4, 5, 6]));
  });

  test("draws are taken at the flat index", () => {
    const at = { mask: new Set<number>(), sign: new Set<number>() };
    const spy: DenoisingDraws = {
      ...silent,
      labelMask(i) {
        at.mask.add(i);
        return 0.99;
      },
      sign(i) {
        at.sign.add(i);
        return 0;
      },
    };
    denoisingQueries([objects(2), objects(1)], { ...usual, numDenoising: 4, draws: spy });
    // Two groups of [2 positive, 2 negative]; the second image has one target and a padded entry in every half.
    expect([...at.mask]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14]);
    expect([...at.sign].sort((a, b) => a - b)).toEqual(
      [...at.mask].flatMap((i) => [4 * i, 4 * i + 1, 4 * i + 2, 4 * i + 3]),
    );
  });

  test.for(["n", "s", "m", "l", "x"])(
    "has as many queries and groups as the reference pack's train/%s",
    (preset, context) => {
      const listing = referenceJson<{ num_denoising_queries: number; dn_groups: number; images: string[] }>(
        `train/${preset}.json`,
      );
      const bytes = referenceBytes(`train/${preset}.safetensors`);
      if (!listing || !bytes) return context.skip(NO_PACK);
      const { entries } = readSafetensors(bytes);
      const targets = listing.images.map((_, b) => ({
        labels: decodeInt32(entries.get(`target.${b}.labels`)!),
        boxes: decodeFloat32(entries.get(`target.${b}.boxes`)!),
      }));
      const found = denoisingQueries(targets, { ...usual, classes: 80, draws: proceduralDraws("") });
      expect([found.numQueries, found.groups]).toEqual([listing.num_denoising_queries, listing.dn_groups]);
    },
  );
});

test("the attention mask blocks other groups and hides denoising from ordinary queries", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 1, max: 20 }),
      fc.nat(5),
      (most, numDenoising, ordinary) => {
        const found = denoisingQueries([objects(most)], { ...usual, numDenoising, draws: silent });
        const dn = found.numQueries;
        const size = dn + ordinary;
        const mask = denoisingMask(found, ordinary);
        expect(mask.length).toBe(size * size);
        const group = (i: number) => (i < dn ? Math.floor(i / (2 * most)) : -1);
        for (let i = 0; i < size; i++)
          for (let j = 0; j < size; j++)
            expect(mask[i * size + j]).toBe(group(j) === -1 || group(i) === group(j) ? 0 : Number.NEGATIVE_INFINITY);
      },
    ),
  );
});
