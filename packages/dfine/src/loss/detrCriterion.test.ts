import { Random, type Tensor, tensor } from "@dfine/tensor";
import { describe, expect, test } from "vitest";
import { inFloat64 } from "../../test/differences.ts";
import { sigmoid } from "../../test/lossOracles.ts";
import { detrCriterion, type Methods } from "../config/criteria.ts";
import { positivePairs } from "../model/denoising.ts";
import type { DenoisingOutputs, PredictionSet, TrainingOutputs } from "../model/outputs.ts";
import { criterion } from "./criterion.ts";
import type { MatchedPairs, MatchTargets } from "./matches.ts";

const CLASSES = 3;
const QUERIES = 6;
const weighting = { regMax: 8, regScale: 4, up: 0.5 };
const plain: Methods = { fdr: false, goLsd: false };
const both: Methods = { fdr: true, goLsd: true };

const random = new Random(7);
const values = (shape: readonly number[], low: number, high: number): Tensor =>
  tensor(
    Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => low + (high - low) * random.uniform()),
    shape,
  );
const set = (queries: number): PredictionSet => ({
  logits: values([2, queries, CLASSES], -3, 1),
  boxes: values([2, queries, 4], 0.2, 0.6),
});

/** Three layers, with distributions where there are methods. */
function layers(queries: number, { fdr }: Methods): PredictionSet[] {
  const refPoints = values([2, queries, 4], 0.2, 0.6);
  const made = [0, 1, 2].map(() => ({
    ...set(queries),
    ...(fdr ? { corners: values([2, queries, 4 * (weighting.regMax + 1)], -2, 2), refPoints } : {}),
  }));
  const { logits, corners } = made.at(-1)!;
  return made.map((one) => (corners ? { ...one, teacher: { logits, corners } } : one));
}

const targets: readonly MatchTargets[] = [2, 1].map((count) => ({
  labels: Int32Array.from({ length: count }, () => random.integer(CLASSES)),
  boxes: Float64Array.from({ length: count * 4 }, () => 0.2 + 0.4 * random.uniform()),
}));
const COUNT = 3;

/** What a model of this kind gives; denoising has two groups of 4, of which the second image fills one query, or two. */
function outputsOf(kind: "tokens" | "dn" | "dino", methods: Methods): TrainingOutputs {
  const all = layers(QUERIES, methods);
  const dn: DenoisingOutputs = {
    layers: layers(8, methods),
    ...(methods.fdr ? { pre: set(8) } : {}),
    positives: targets.map(({ labels }) => positivePairs(labels.length, 2, 4)),
    ...{ groups: 2, negatives: kind === "dino" },
  };
  const { teacher: _, ...last } = all.at(-1)!;
  return {
    ...{ last, aux: all.slice(0, -1), enc: kind === "dino" ? [set(QUERIES)] : [] },
    ...(methods.fdr ? { pre: set(QUERIES) } : {}),
    ...(kind === "tokens" ? { tokens: set(11) } : { dn }),
  };
}

const judged = (outputs: TrainingOutputs, config: ReturnType<typeof detrCriterion>) =>
  criterion(outputs, targets, { config, weighting });
const of = (suffix: string, terms: string, prefix = "") =>
  terms.split(" ").map((term) => `${prefix}loss_${term}${suffix}`);

/** Σ of focal losses over all queries of both images, or over those that have a target. */
async function focalSum(
  logits: Tensor,
  pairs: readonly MatchedPairs[],
  options: { agnostic?: boolean; only?: boolean },
) {
  const [, queries] = logits.shape as [number, number];
  const x = await logits.data();
  let sum = 0;
  for (let row = 0; row < 2 * queries; row++) {
    const [image, query] = [Math.floor(row / queries), row % queries];
    const at = pairs[image]!.queries.indexOf(query);
    if (options.only && at < 0) continue;
    const label = at < 0 ? -1 : options.agnostic ? 0 : targets[image]!.labels[pairs[image]!.targets[at]!]!;
    for (let c = 0; c < CLASSES; c++) {
      const p = sigmoid(x[row * CLASSES + c]!);
      sum += c === label ? 0.25 * (1 - p) ** 2 * -Math.log(p) : 0.75 * p ** 2 * -Math.log(1 - p);
    }
  }
  return sum;
}

describe("criterion of the DETRs", () => {
  test.each([
    ["deformable-detr", "tokens", plain, [...of("_enc", "ce bbox giou")]],
    ["deformable-detr", "tokens", both, [...of("_pre", "bbox giou"), ...of("_enc", "ce bbox giou")]],
    ["dn-detr", "dn", plain, ["_0", "_1", ""].flatMap((suffix) => of(suffix, "ce bbox giou", "tgt_"))],
    [
      "dino",
      "dino",
      plain,
      [...of("_interm", "ce bbox giou"), ...["_dn_0", "_dn_1", "_dn"].flatMap((s) => of(s, "ce bbox giou"))],
    ],
    [
      "dino",
      "dino",
      both,
      [
        ...of("_pre", "bbox giou"),
        ...of("_interm", "ce bbox giou"),
        ...["_dn_0", "_dn_1"].flatMap((suffix) => of(suffix, "ce bbox giou fgl ddf")),
        ...of("_dn", "ce bbox giou fgl"),
        ...of("_dn_pre", "bbox giou"),
      ],
    ],
  ] as const)("%s has its losses (%s, %o)", (family, kind, methods, more) =>
    inFloat64(async () => {
      const { losses } = await judged(outputsOf(kind, methods), detrCriterion(family, methods));
      const layer = methods.fdr ? "ce bbox giou fgl" : "ce bbox giou";
      const earlier = methods.fdr ? `${layer} ddf` : layer;
      expect([...losses.keys()]).toEqual([...of("", layer), ...of("_0", earlier), ...of("_1", earlier), ...more]);
    }),
  );

  test("all tokens: every target is class 0, matched for itself and outside the union", () =>
    inFloat64(async () => {
      const outputs = outputsOf("tokens", both);
      const { losses, matches, union } = await judged(outputs, detrCriterion("deformable-detr", both));
      const pairs = matches.get("enc")!;
      expect(pairs.map(({ queries }) => queries.length)).toEqual([2, 1]);
      const ce = await losses.get("loss_ce_enc")!.item();
      expect(ce).toBeCloseTo((2 * (await focalSum(outputs.tokens!.logits, pairs, { agnostic: true }))) / COUNT, 9);
      expect(union!.flatMap(({ queries }) => [...queries]).every((query) => query < QUERIES)).toBe(true);
      // Without labels a token's match depends on its first logit alone.
      const swapped = await outputs.tokens!.logits.data();
      for (let i = 0; i < swapped.length; i += CLASSES)
        [swapped[i + 1], swapped[i + 2]] = [swapped[i + 2]!, swapped[i + 1]!];
      const tokens = { ...outputs.tokens!, logits: tensor(swapped, outputs.tokens!.logits.shape) };
      const other = await judged({ ...outputs, tokens }, detrCriterion("deformable-detr", both));
      expect(other.matches.get("enc")).toEqual(pairs);
    }));

  test.each([
    ["dn-detr", "dn", "tgt_loss_ce"],
    ["dino", "dino", "loss_ce_dn"],
  ] as const)("denoising of %s: padding is not judged, negatives are background", (family, kind, name) =>
    inFloat64(async () => {
      const outputs = outputsOf(kind, plain);
      const { losses } = await judged(outputs, detrCriterion(family, plain));
      const { layers, positives } = outputs.dn!;
      const sum = await focalSum(layers.at(-1)!.logits, positives, { only: kind === "dn" });
      expect(await losses.get(name)!.item()).toBeCloseTo(sum / (2 * COUNT), 9);
    }),
  );

  test("an epsilon keeps boxes without area apart from NaN, in the matcher and in the loss", () =>
    inFloat64(async () => {
      const config = detrCriterion("dab-detr", plain);
      const point = { labels: Int32Array.of(0), boxes: Float64Array.of(0.5, 0.5, 0, 0) };
      const last = {
        logits: values([1, 2, CLASSES], -1, 1),
        boxes: tensor([0.5, 0.5, 0, 0, 0.1, 0.1, 0.1, 0.1], [1, 2, 4]),
      };
      const found = async (boxEpsilon: number) => {
        const options = { config: { ...config, boxEpsilon }, weighting };
        const { losses } = await criterion({ last, aux: [], enc: [] }, [point], options);
        return await losses.get("loss_giou")!.item();
      };
      // The IoU of a point with itself is 0 / ε, and so is the hull's share.
      expect(await found(1e-6)).toBe(2);
      expect(await found(0)).toBeNaN();
    }));
});
