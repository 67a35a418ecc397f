import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { proceduralDraws } from "../../../../parity/procedural.ts";
import type { MatchTargets } from "../loss/matches.ts";
import { DENOISERS } from "./denoisers.ts";
import type { DenoisingDraws } from "./outputs.ts";

const CLASSES = 7;
const silent: DenoisingDraws = { labelMask: () => 0.99, label: () => 0, sign: () => 0, magnitude: () => 0.5 };
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

const box = fc.tuple(...[0.3, 0.3, 0.05, 0.05].map((min) => fc.double({ min, max: min + 0.25, noNaN: true })));
const image = fc.array(fc.tuple(fc.nat(CLASSES - 1), box), { maxLength: 5 }).map(
  (objects): MatchTargets => ({
    labels: Int32Array.from(objects, ([label]) => label),
    boxes: Float64Array.from(objects.flatMap(([, numbers]) => numbers)),
  }),
);
const batch = fc.array(image, { minLength: 1, maxLength: 3 });
const seeded = fc.string().map((salt) => proceduralDraws(salt));

const KINDS = {
  dn: { type: "dn", groups: 3, labelNoiseRatio: 0.2, boxNoiseScale: 0.4 },
  dino: { type: "dino", numDenoising: 50, labelNoiseRatio: 0.5, boxNoiseScale: 1 },
} as const;
const kinds = Object.entries(KINDS);
const queriesOf = (
  config: (typeof KINDS)[keyof typeof KINDS],
  targets: readonly MatchTargets[],
  draws: DenoisingDraws,
) => DENOISERS.plan(config).queries!(targets, { classes: CLASSES, draws });
const counts = (targets: readonly MatchTargets[]) => targets.map(({ labels }) => labels.length);

describe.each(kinds)("%s", (kind, config) => {
  const halves = kind === "dn" ? 1 : 2;

  test("repeats every target in every group, and pads the images that have fewer", () =>
    fc.assert(
      fc.property(batch, seeded, (targets, draws) => {
        const found = queriesOf(config, targets, draws);
        const most = Math.max(...counts(targets));
        expect(found.groupSize).toBe(halves * most);
        expect(found.numQueries).toBe(found.groups * found.groupSize);
        expect(found.negatives).toBe(kind === "dino");
        found.labels.forEach((label, at) => {
          const [b, slot] = [Math.floor(at / found.numQueries), (at % found.numQueries) % most];
          const isReal = slot < targets[b]!.labels.length;
          expect(label < CLASSES).toBe(isReal);
          if (!isReal) expect([...found.boxesUnact.subarray(4 * at, 4 * at + 4)]).toEqual([0, 0, 0, 0]);
        });
        for (const [b, { queries, targets: chosen }] of found.positives.entries()) {
          expect(queries.length).toBe(found.groups * targets[b]!.labels.length);
          for (const [i, query] of queries.entries()) expect(query % found.groupSize).toBe(chosen[i]);
        }
      }),
    ));

  test("draws are counted over real boxes, repetition by repetition", () =>
    fc.assert(
      fc.property(batch, (targets) => {
        const asked: number[] = [];
        const spy = (i: number) => {
          asked.push(i);
          return 0.99;
        };
        const { groups } = queriesOf(config, targets, { ...silent, labelMask: spy });
        const all = counts(targets).reduce((a, b) => a + b, 0);
        expect(asked).toEqual(Array.from({ length: groups * halves * all }, (_, i) => i));
      }),
    ));

  test("a batch without boxes has no queries, nor has one that is turned off", () => {
    const none = { labels: new Int32Array(), boxes: new Float64Array() };
    expect(queriesOf(config, [none, none], silent).numQueries).toBe(0);
    const off = { ...config, ...(kind === "dn" ? { groups: 0 } : { numDenoising: 0 }) };
    expect(DENOISERS.plan(off as typeof config).queries).toBeUndefined();
  });
});

test("DN-DETR moves centres by up to half a side and sides by up to themselves, times the scale", () =>
  fc.assert(
    fc.property(image, seeded, (target, draws) => {
      const { boxesUnact, numQueries, groupSize } = queriesOf(KINDS.dn, [target], draws);
      for (let query = 0; query < numQueries; query++) {
        const own = [...target.boxes.subarray(4 * (query % groupSize), 4 * (query % groupSize) + 4)];
        const moved = [...boxesUnact.subarray(4 * query, 4 * query + 4)].map((x, c) => Math.abs(sigmoid(x) - own[c]!));
        const reach = [own[2]! / 2, own[3]! / 2, own[2]!, own[3]!];
        for (const [c, by] of moved.entries()) expect(by).toBeLessThanOrEqual(0.4 * reach[c]! + 1e-9);
      }
    }),
  ));

test("DINO moves edges by up to half a side, and those of negatives by half to a whole one", () =>
  fc.assert(
    fc.property(image, seeded, (target, draws) => {
      const { boxesUnact, numQueries, groupSize } = queriesOf(KINDS.dino, [target], draws);
      for (let query = 0; query < numQueries; query++) {
        const most = groupSize / 2;
        const own = [...target.boxes.subarray(4 * (query % most), 4 * (query % most) + 4)];
        const [cx, cy, w, h] = [...boxesUnact.subarray(4 * query, 4 * query + 4)].map(sigmoid) as [
          number,
          number,
          number,
          number,
        ];
        const isNegative = query % groupSize >= most;
        for (const [centre, side, was, length] of [
          [cx, w, own[0]!, own[2]!],
          [cy, h, own[1]!, own[3]!],
        ] as const) {
          // Edges that crossed have lost their width in the inverse sigmoid, which goes no nearer to 0 than 0.001.
          if (side < 1.1e-3) continue;
          for (const sign of [-1, 1]) {
            const by = Math.abs(centre + (sign * side) / 2 - (was + (sign * length) / 2));
            expect(by).toBeLessThanOrEqual((isNegative ? 1 : 0.5) * length + 1e-9);
            if (isNegative) expect(by).toBeGreaterThanOrEqual(0.5 * length - 1e-9);
          }
        }
      }
    }),
  ));

test.each([
  [100, 0, 1],
  [100, 3, 33],
  [100, 7, 14],
  [100, 150, 1],
  [10, 4, 20],
])("DINO: %i queries and %i boxes make %i groups", (numDenoising, count, groups) => {
  const targets = { labels: new Int32Array(count), boxes: new Float64Array(4 * count).fill(0.3) };
  expect(queriesOf({ ...KINDS.dino, numDenoising } as never, [targets], silent).groups).toBe(groups);
});
