import * as z from "zod";
import { count, rate, share } from "../config/numbers.ts";
import type { MatchTargets } from "../loss/matches.ts";
import { positivePairs } from "./denoising.ts";
import type { DenoisingDraws, DenoisingQueries } from "./outputs.ts";
import type { Denoiser, Part } from "./parts.ts";

/** What moves the four numbers of a box: a side, and how far in [0, 1). */
type BoxDraws = Readonly<Record<"sign" | "magnitude", (k: number) => number>>;

/** How the targets of a batch are repeated, and how each repetition is made noisy. */
interface Repetition {
  readonly groups: number;
  /** Repetitions in a group: the second one is of negatives. */
  readonly perGroup: 1 | 2;
  /** Probability that a label is drawn anew. */
  readonly labelNoise: number;
  readonly moved: (box: readonly number[], draws: BoxDraws, isNegative: boolean) => number[];
}

/** Nearest to 0 and 1 that the inverse sigmoid takes in both. */
const EPSILON = 1e-3;

const clip = (x: number): number => Math.min(Math.max(x, 0), 1);
const inverseSigmoid = (x: number): number => Math.log(Math.max(clip(x), EPSILON) / Math.max(1 - clip(x), EPSILON));

/**
 * Noisy queries from targets that are repeated: box k of an image in repetition r is its query r · most + k. Draws are counted
 * over real boxes alone: repetition after repetition, image after image. Slots without a box have the label `classes` and the
 * box logits 0.
 */
function repeatedQueries(
  targets: readonly MatchTargets[],
  { classes, draws }: { classes: number; draws: DenoisingDraws },
  { groups, perGroup, labelNoise, moved }: Repetition,
): DenoisingQueries {
  const most = largestCount(targets);
  const groupSize = perGroup * most;
  const numQueries = groups * groupSize;
  const labels = new Int32Array(targets.length * numQueries).fill(classes);
  const boxesUnact = new Float64Array(labels.length * 4);
  let index = 0;
  const repeat = (target: MatchTargets, first: number, isNegative: boolean): void =>
    target.labels.forEach((label, k) => {
      const i = index++;
      labels[first + k] = draws.labelMask(i) < labelNoise ? Math.floor(draws.label(i) * classes) : label;
      const box = [...target.boxes.subarray(4 * k, 4 * k + 4)];
      const noise = {
        sign: (c: number) => draws.sign(4 * i + c),
        magnitude: (c: number) => draws.magnitude(4 * i + c),
      };
      boxesUnact.set(moved(box, noise, isNegative).map(inverseSigmoid), 4 * (first + k));
    });
  for (let r = 0; r < groups * perGroup; r++)
    for (const [b, target] of targets.entries()) repeat(target, b * numQueries + r * most, r % perGroup === 1);
  const positives = targets.map((target) => positivePairs(target.labels.length, groups, groupSize));
  return { numQueries, groups, groupSize, labels, boxesUnact, positives, negatives: perGroup === 2 };
}

const largestCount = (targets: readonly MatchTargets[]): number =>
  targets.reduce((most, { labels }) => Math.max(most, labels.length), 0);

const dnSchema = z.strictObject({
  type: z.literal("dn"),
  /** Noisy copies of each target; 0 turns denoising off. */
  groups: count,
  labelNoiseRatio: share,
  boxNoiseScale: rate,
});

/** Each target lightly moved, in groups: centre and sides by up to `boxNoiseScale` of half and whole sides. Li et al. 2022 (DN-DETR). */
export const dn: Part<typeof dnSchema, Denoiser> = {
  schema: dnSchema,
  defaults: () => ({ type: "dn", groups: 5, labelNoiseRatio: 0.2, boxNoiseScale: 0.4 }),
  plan: ({ groups, labelNoiseRatio, boxNoiseScale }) => {
    const moved: Repetition["moved"] = (box, { magnitude }) =>
      box.map((value, c) => {
        const reach = c < 2 ? box[c + 2]! / 2 : value;
        return clip(value + (2 * magnitude(c) - 1) * reach * boxNoiseScale);
      });
    const repetition = { groups, perGroup: 1, labelNoise: labelNoiseRatio, moved } as const;
    return { queries: groups ? (targets, options) => repeatedQueries(targets, options, repetition) : undefined };
  },
};

const dinoSchema = z.strictObject({
  type: z.literal("dino"),
  /** Positive queries shared by the groups, and as many negative ones; below 50 half the groups. 0 turns denoising off. */
  numDenoising: count,
  labelNoiseRatio: share,
  boxNoiseScale: rate,
});

/** Officially a doubled number below this one is a number of groups. */
const FEWEST_QUERIES = 100;

function dinoGroups(numDenoising: number, most: number): number {
  const queries = 2 * numDenoising;
  if (most === 0) return 1;
  return queries < FEWEST_QUERIES ? queries : Math.max(1, Math.floor(queries / (2 * most)));
}

/**
 * Each target with its edges moved by up to half a side (positives), then by half to a whole side (negatives), times
 * `boxNoiseScale`, in groups. Edges that cross make a box without width. Zhang et al. 2022 (DINO §3.3).
 */
export const dino: Part<typeof dinoSchema, Denoiser> = {
  schema: dinoSchema,
  defaults: () => ({ type: "dino", numDenoising: 100, labelNoiseRatio: 0.5, boxNoiseScale: 1 }),
  plan: ({ numDenoising, labelNoiseRatio, boxNoiseScale }) => {
    const moved: Repetition["moved"] = (box, { sign, magnitude }, isNegative) => {
      const edge = (c: number): number => {
        const side = box[2 + (c % 2)]!;
        const shift = (magnitude(c) + (isNegative ? 1 : 0)) * (sign(c) < 0.5 ? -1 : 1);
        return clip(box[c % 2]! + (c < 2 ? -side / 2 : side / 2) + shift * (side / 2) * boxNoiseScale);
      };
      const [x1, y1, x2, y2] = [edge(0), edge(1), edge(2), edge(3)];
      return [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1];
    };
    const repetition = { perGroup: 2, labelNoise: labelNoiseRatio / 2, moved } as const;
    return {
      queries: numDenoising
        ? (targets, options) => {
            const groups = dinoGroups(numDenoising, largestCount(targets));
            return repeatedQueries(targets, options, { ...repetition, groups });
          }
        : undefined,
    };
  },
};
