import type { Random } from "@dfine/tensor";
import * as z from "zod";
import { rate, share, size } from "../../config/numbers.ts";
import { choiceTable } from "../../model/parts.ts";
import type { BatchSize } from "../multiScale.ts";
import { flip } from "./flip.ts";
import { iouCrop } from "./iouCrop.ts";
import { mixup } from "./mixup.ts";
import { MOSAIC_OTHERS, mosaic } from "./mosaic.ts";
import { photometricDistort } from "./photometricDistort.ts";
import type { Augment, Sample } from "./sample.ts";
import { sanitize } from "./sanitize.ts";
import { scaleAndCrop } from "./scaleAndCrop.ts";
import { zoomOut } from "./zoomOut.ts";

/** What a row of the table makes of its configuration. */
interface PlannedAugment {
  /** Made for the model's input [height, width]. */
  readonly apply: (size: BatchSize) => Augment;
  /** Ends at the recipe's stop epoch. */
  readonly strong: boolean;
  /** Other samples that it takes when it happens; its first draw decides about that. */
  readonly others?: { readonly count: number; readonly probability: number };
  /** Images come to the network at the size that it gives them. */
  readonly givesSize?: boolean;
}

/** From low to high, both within what `of` allows. */
const range = (of: z.ZodNumber) =>
  z.tuple([of, of]).refine(([low, high]) => low <= high, { error: "must go from low to high" });

/** Shares of a side. */
const shares = z.array(z.number().positive().max(4)).min(1);

const halfTurn = z.number().min(-0.5).max(0.5);

/** A row: the numbers, and the augmentation for them. */
const row = <Schema extends z.ZodObject>(schema: Schema, plan: (config: z.output<Schema>) => PlannedAugment) => ({
  schema,
  plan,
});

const strong = (apply: Augment): PlannedAugment => ({ apply: () => apply, strong: true });
const mixing = (apply: Augment, count: number, { probability }: { readonly probability: number }): PlannedAugment => ({
  ...strong(apply),
  others: { count, probability },
});
const lasting = (apply: Augment): PlannedAugment => ({ apply: () => apply, strong: false });

/** Augmentations by name. docs/specification.md §17. */
export const AUGMENTATIONS = choiceTable(
  "name",
  {
    photometricDistort: row(
      z.strictObject({
        name: z.literal("photometricDistort"),
        probability: share.default(0.5),
        brightness: range(rate).default([0.875, 1.125]),
        contrast: range(rate).default([0.5, 1.5]),
        saturation: range(rate).default([0.5, 1.5]),
        hue: range(halfTurn).default([-0.05, 0.05]),
      }),
      (config) => strong(photometricDistort(config)),
    ),
    zoomOut: row(
      z.strictObject({
        name: z.literal("zoomOut"),
        probability: share.default(0.5),
        sideRange: range(z.number().min(1).max(16)).default([1, 4]),
      }),
      (config) => strong(zoomOut(config)),
    ),
    iouCrop: row(
      z.strictObject({
        name: z.literal("iouCrop"),
        probability: share.default(0.8),
        scale: range(z.number().positive().max(1)).default([0.3, 1]),
        aspectRatio: range(z.number().positive()).default([0.5, 2]),
        minIou: z
          .array(rate)
          .refine((all) => all.some((iou) => iou >= 1), { error: "must have a 1 among them, which ends the search" })
          .default([0, 0.1, 0.3, 0.5, 0.7, 0.9, 1]),
        trials: size.default(40),
      }),
      (config) => strong(iouCrop(config)),
    ),
    mosaic: row(
      z.strictObject({
        name: z.literal("mosaic"),
        probability: share.default(1),
        side: z.int().min(32).max(4096).default(640),
        scale: z.number().min(0).max(0.9).default(0.5),
        translate: z.number().min(0).max(0.5).default(0.1),
      }),
      (config) => mixing(mosaic(config), MOSAIC_OTHERS, config),
    ),
    mixup: row(
      z.strictObject({
        name: z.literal("mixup"),
        probability: share.default(0.15),
        alpha: z.int().min(1).max(1000).default(32),
      }),
      (config) => mixing(mixup(config), 1, config),
    ),
    sanitize: row(z.strictObject({ name: z.literal("sanitize"), minSize: rate.default(1) }), (config) =>
      lasting(sanitize(config)),
    ),
    flip: row(z.strictObject({ name: z.literal("flip"), probability: share.default(0.5) }), (config) =>
      lasting(flip(config)),
    ),
    scaleAndCrop: row(
      z.strictObject({
        name: z.literal("scaleAndCrop"),
        probability: share.default(0.5),
        scales: shares.default([0.6, 0.64, 0.68, 0.72, 0.76, 0.8, 0.84, 0.88, 0.92, 0.96, 1]),
        cropScales: shares.default([0.5, 0.625, 0.75]),
        crop: range(z.number().positive().max(4)).default([0.48, 0.75]),
      }),
      (config) => ({ apply: scaleAndCrop(config), strong: false, givesSize: true }),
    ),
  },
  "flip",
);

/** One augmentation with its numbers, as configurations list them. */
export type AugmentationConfig = z.output<typeof AUGMENTATIONS.schema>;

/** Lists of augmentations by name. */
export const AUGMENTATION_RECIPES = {
  official: ["photometricDistort", "zoomOut", "iouCrop", "sanitize", "flip"],
  mosaic: ["mosaic", "mixup", "photometricDistort", "sanitize", "flip"],
  detr: ["flip", "scaleAndCrop"],
  flip: ["flip"],
  none: [],
} as const satisfies Record<string, readonly string[]>;

const RECIPES: Readonly<Record<string, readonly string[]>> = AUGMENTATION_RECIPES;
const EXPECTED = `Invalid option: expected a list, or one of ${Object.keys(RECIPES)
  .map((name) => JSON.stringify(name))
  .join("|")}`;

/** A list of augmentations or their names, or the name of one of `AUGMENTATION_RECIPES`. */
export const augmentationsSchema = z.preprocess(
  (given) => {
    const list = typeof given === "string" && Object.hasOwn(RECIPES, given) ? RECIPES[given] : given;
    return Array.isArray(list) ? list.map((one) => (typeof one === "string" ? { name: one } : one)) : list;
  },
  z.array(AUGMENTATIONS.schema, { error: (issue) => (typeof issue.input === "string" ? EXPECTED : undefined) }),
);

/** A recipe by its name, or augmentations in order, of which all but the name may be left out: `[{ name: "flip" }]`. */
export type AugmentationList =
  | keyof typeof AUGMENTATION_RECIPES
  | readonly {
      [Name in AugmentationConfig["name"]]: { readonly name: Name } & Partial<
        Extract<AugmentationConfig, { readonly name: Name }>
      >;
    }[AugmentationConfig["name"]][];

/** Whether images have the size at which the network takes them after a list of augmentations. */
export const giveSize = (list: readonly AugmentationConfig[]): boolean =>
  list.some((config) => AUGMENTATIONS.plan(config).givesSize);

/** Gives the sample of an image of the data set, for a number from 0 to below 1. */
export type AnotherSample = (draw: number) => Promise<Sample>;

/**
 * The augmentations of a list one after the other, each with draws of its own; strong ones only where `strong` says so.
 * `another` is asked by those that take further images; `size` is the model's input.
 */
export function augmenter(
  list: readonly AugmentationConfig[],
  { strong, size }: { readonly strong: boolean; readonly size: BatchSize },
) {
  const steps = list
    .map((config) => AUGMENTATIONS.plan(config))
    .map(({ apply, ...step }, i) => ({ ...step, apply: apply(size), stream: `augment ${i}` }));
  const taken = steps.filter((step) => strong || !step.strong);
  return async (sample: Sample, random: Random, another: AnotherSample): Promise<Sample> => {
    let now = sample;
    for (const { apply, stream, others } of taken) {
      const happens = others !== undefined && random.fork(stream).uniform() < others.probability;
      const choice = random.fork(`${stream} others`);
      const draws = Array.from({ length: happens ? others.count : 0 }, () => choice.uniform());
      now = apply(now, random.fork(stream), await Promise.all(draws.map(another)));
    }
    return now;
  };
}
