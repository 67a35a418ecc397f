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

function inverseSigmoid(x: number): number {
  const inside = Math.min(Math.max(x, 0), 1);
  return logFloat32(f32(Math.max(inside, EPSILON) / Math.max(f32(1 - inside), EPSILON)));
}

function clip(x: number): number {
  return Math.min(Math.max(x, 0), 1);
}

/** One axis of a noisy box: centre and side after both edges moved. Edges that crossed still make a box. */
function noisyAxis(centre: number, side: number, shifts: readonly [number, number]): [number, number] {
  const half = f32(0.5 * Math.max(side, 0));
  const low = clip(f32(f32(centre - half) + shifts[0]));
  const high = clip(f32(f32(centre + half) + shifts[1]));
  return [Math.abs(f32(f32(low + high) / 2)), Math.abs(f32(high - low))];
}

/** Positive queries of an image with `count` targets: in group k, target j is query k · groupSize + j. */
export function positivePairs(count: number, groups: number, groupSize: number): MatchedPairs {
  const indices = Array.from({ length: count * groups }, (_, t) => t);
  return {
    queries: Int32Array.from(indices, (t) => Math.floor(t / count) * groupSize + (t % count)),
    targets: Int32Array.from(indices, (t) => t % count),
  };
}

function noisyLabel(label: number, index: number, options: DenoisingOptions): number {
  const { draws, classes, labelNoiseRatio } = options;
  return draws.labelMask(index) < labelNoiseRatio * 0.5 ? Math.floor(draws.label(index) * classes) : label;
}

/** Moves every edge by up to half a side, or by half to a whole side for negatives, times `boxNoiseScale`. */
function noisyBox(box: ArrayLike<number>, index: number, options: DenoisingOptions & { negative: boolean }): number[] {
  const { draws, boxNoiseScale, negative } = options;
  const [cx, cy, w, h] = [f32(box[0]!), f32(box[1]!), f32(box[2]!), f32(box[3]!)];
  if (boxNoiseScale === 0) return [cx, cy, w, h];
  const shift = (k: number) => {
    const sign = draws.sign(index * 4 + k) < 0.5 ? -1 : 1;
    const size = f32(f32(draws.magnitude(index * 4 + k)) + (negative ? 1 : 0));
    return f32(sign * size * f32(f32((k % 2 === 0 ? w : h) * 0.5) * boxNoiseScale));
  };
  const [x, width] = noisyAxis(cx, w, [shift(0), shift(2)]);
  const [y, height] = noisyAxis(cy, h, [shift(1), shift(3)]);
  return [x, y, width, height];
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
      const negative = within >= most;
      const j = within % most;
      if (j >= target.labels.length) continue;
      const index = b * numQueries + query;
      labels[index] = noisyLabel(target.labels[j]!, index, options);
      const box = noisyBox(target.boxes.subarray(j * 4, j * 4 + 4), index, { ...options, negative });
      boxesUnact.set(box.map(inverseSigmoid), index * 4);
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
