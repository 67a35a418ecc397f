import * as z from "zod";
import { count, rate, share } from "../config/numbers.ts";
import type { MatchedPairs, MatchTargets } from "../loss/matches.ts";
import { logFloat32 } from "./float32Functions.ts";
import type { DenoisingDraws, DenoisingQueries } from "./outputs.ts";
import type { Denoiser, Part } from "./parts.ts";

const schema = z.strictObject({
  type: z.literal("contrastive"),
  /** Queries shared by the groups; 0 turns denoising off. */
  numDenoising: count,
  labelNoiseRatio: share,
  boxNoiseScale: rate,
});

/** How many noisy queries there are and how noisy they are. */
export interface DenoisingOptions extends Omit<z.infer<typeof schema>, "type"> {
  readonly classes: number;
  readonly draws: DenoisingDraws;
}

// Officially these are float32 tensors whatever the model computes in, so every operation is rounded.
const f32 = Math.fround;
const EPSILON = f32(1e-5);
const AXES = [0, 1] as const;

function inverseSigmoid(x: number): number {
  const inside = Math.min(Math.max(x, 0), 1);
  return logFloat32(f32(Math.max(inside, EPSILON) / Math.max(f32(1 - inside), EPSILON)));
}

function clip(x: number): number {
  return Math.min(Math.max(x, 0), 1);
}

/** Positive queries of an image with `count` targets: in group k, target j is query k · groupSize + j. */
export function positivePairs(count: number, groups: number, groupSize: number): MatchedPairs {
  const [queries, targets] = [new Int32Array(count * groups), new Int32Array(count * groups)];
  for (let group = 0, t = 0; group < groups; group++)
    for (let target = 0; target < count; target++, t++) {
      queries[t] = group * groupSize + target;
      targets[t] = target;
    }
  return { queries, targets };
}

function noisyLabel(label: number, index: number, options: DenoisingOptions): number {
  const { draws, classes, labelNoiseRatio } = options;
  return draws.labelMask(index) < labelNoiseRatio * 0.5 ? Math.floor(draws.label(index) * classes) : label;
}

/** A box along one axis. */
interface Side {
  readonly centre: number;
  readonly side: number;
  /** Halves of a side by which its edges move at least. */
  readonly least: number;
}

/** How far an edge moves: by up to half a side from `least` halves on, times `boxNoiseScale`. `at` counts its draws. */
function shiftOf(at: number, { side, least }: Side, { draws, boxNoiseScale }: DenoisingOptions): number {
  const sign = draws.sign(at) < 0.5 ? -1 : 1;
  const size = f32(f32(draws.magnitude(at)) + least);
  return f32(sign * size * f32(f32(side * 0.5) * boxNoiseScale));
}

/** Centre and side after both edges moved. Edges that crossed still make a box. `at` counts the first one's draws. */
function noisySide(at: number, box: Side, options: DenoisingOptions): readonly [centre: number, side: number] {
  const { centre, side } = box;
  if (options.boxNoiseScale === 0) return [centre, side];
  const half = f32(0.5 * Math.max(side, 0));
  const low = clip(f32(f32(centre - half) + shiftOf(at, box, options)));
  const high = clip(f32(f32(centre + half) + shiftOf(at + 2, box, options)));
  return [Math.abs(f32(f32(low + high) / 2)), Math.abs(f32(high - low))];
}

/**
 * Builds the contrastive denoising queries of a batch. Every group holds each target once lightly moved (positive) and
 * once moved further (negative), some with a wrong label; images with fewer targets are padded. DINO §3.3, D-FINE's
 * `get_contrastive_denoising_training_group`.
 */
export function denoisingQueries(targets: readonly MatchTargets[], options: DenoisingOptions): DenoisingQueries {
  const most = targets.reduce((count, { labels }) => Math.max(count, labels.length), 0);
  const groups = most === 0 || options.numDenoising === 0 ? 0 : Math.max(1, Math.floor(options.numDenoising / most));
  const groupSize = 2 * most;
  const numQueries = groups * groupSize;
  const labels = new Int32Array(targets.length * numQueries).fill(options.classes);
  const boxesUnact = new Float32Array(targets.length * numQueries * 4).fill(inverseSigmoid(0));
  targets.forEach((target, b) => {
    for (let query = 0; query < numQueries; query++) {
      const within = query % groupSize;
      const least = within >= most ? 1 : 0;
      const j = within % most;
      if (j >= target.labels.length) continue;
      const index = b * numQueries + query;
      labels[index] = noisyLabel(target.labels[j]!, index, options);
      for (const axis of AXES) {
        const [centre, side] = [f32(target.boxes[j * 4 + axis]!), f32(target.boxes[j * 4 + axis + 2]!)];
        const at = index * 4 + axis;
        const noisy = noisySide(at, { centre, side, least }, options);
        boxesUnact[at] = inverseSigmoid(noisy[0]);
        boxesUnact[at + 2] = inverseSigmoid(noisy[1]);
      }
    }
  });
  const positives = targets.map((target) => positivePairs(target.labels.length, groups, groupSize));
  return { numQueries, groups, groupSize, labels, boxesUnact, positives, negatives: true };
}

/** Each target lightly moved and further moved, in groups. */
export const contrastive: Part<typeof schema, Denoiser> = {
  schema,
  defaults: () => ({ type: "contrastive", numDenoising: 100, labelNoiseRatio: 0.5, boxNoiseScale: 1 }),
  plan: (config) => ({
    queries: config.numDenoising
      ? (targets, options) => denoisingQueries(targets, { ...config, ...options })
      : undefined,
  }),
};

/**
 * Self-attention bias [M, M] of Qdn denoising queries before `numQueries` ordinary ones, −∞ = blocked: ordinary queries
 * see no denoising query, and denoising queries see only their own group and the ordinary ones.
 */
export function denoisingMask({ numQueries: dn, groupSize }: DenoisingQueries, numQueries: number): Float32Array {
  const size = dn + numQueries;
  const bias = new Float32Array(size * size);
  for (let row = 0; row < size; row++) {
    const start = row * size;
    bias.fill(Number.NEGATIVE_INFINITY, start, start + dn);
    if (row >= dn) continue;
    const group = start + row - (row % groupSize);
    bias.fill(0, group, group + groupSize);
  }
  return bias;
}
