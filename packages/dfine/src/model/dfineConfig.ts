import * as z from "zod";
import { ConfigError } from "../config/errors.ts";
import { size } from "../config/numbers.ts";
import { RESIZES } from "../data/inputFit.ts";
import { BACKBONES } from "./backbones.ts";
import { dfineDecoder } from "./decoder.ts";
import { DENOISERS } from "./denoisers.ts";
import { hybrid } from "./hybridEncoder.ts";
import { type Level, partTable } from "./parts.ts";

const ENCODERS = partTable({ hybrid }, "hybrid");
const DECODERS = partTable({ dfine: dfineDecoder }, "dfine");

/** The parts of D-FINE that there is a choice of, by their keys. */
export const DFINE_PARTS = { backbone: BACKBONES, encoder: ENCODERS, decoder: DECODERS, denoising: DENOISERS };

export const dfineSchema = z.strictObject({
  architecture: z.literal("dfine"),
  classes: z.array(z.string()).min(1, "at least one class name is needed"),
  /** Input height and width outside multi-scale training, pixels. */
  evalSize: z.tuple([z.int().positive().multipleOf(32), z.int().positive().multipleOf(32)]),
  /** How images come to that size: squeezed, or evenly on grey. Files of earlier versions do not say it. */
  resize: z.enum(RESIZES).default("squeeze"),
  backbone: BACKBONES.schema,
  encoder: ENCODERS.schema,
  decoder: DECODERS.schema,
  denoising: DENOISERS.schema,
  /** Detections per image. */
  numTopQueries: size,
});

/** A D-FINE's parts and their keys. @interface */
export type DFineConfig = z.infer<typeof dfineSchema>;

/** The parts of a model, each planned for what the one before it hands on. */
export function planParts(config: DFineConfig) {
  const { classes, evalSize } = config;
  const backbone = BACKBONES.plan(config.backbone);
  const encoder = ENCODERS.plan(config.encoder);
  const decoder = DECODERS.plan(config.decoder);
  const denoiser = DENOISERS.plan(config.denoising);
  const maps = backboneLevels(config);
  const levels = encoder.levels?.(maps) ?? maps;
  const context = { levels, evalSize, classes: classes.length, denoises: denoiser.queries !== undefined };
  return { backbone, encoder, decoder, denoiser, maps, context };
}

/** What the backbone hands on, finest first. */
export const backboneLevels = ({ backbone }: Pick<DFineConfig, "backbone">): readonly Level[] =>
  BACKBONES.plan(backbone).levels?.() ?? [];

/** What sides of images are multiples of. */
export const coarsestStride = (config: Pick<DFineConfig, "backbone">): number =>
  Math.max(32, ...backboneLevels(config).map(({ stride }) => stride));

/** What does not go together in a model whose values are each all right, for messages; empty where all does. */
export function brokenModelRules(config: DFineConfig): string[] {
  const broken = BACKBONES.plan(config.backbone).problems?.() ?? [];
  if (broken.length > 0) return broken;
  const { encoder, decoder, maps, context } = planParts(config);
  return [...(encoder.problems?.(maps) ?? []), ...(decoder.problems?.(context) ?? [])];
}

/** Tokens over all levels for an input of the given height and width, pixels. */
export function tokenCount(config: Pick<DFineConfig, "backbone">, [height, width]: readonly [number, number]): number {
  return backboneLevels(config).reduce(
    (sum, { stride }) => sum + Math.floor(height / stride) * Math.floor(width / stride),
    0,
  );
}

/**
 * Checks that a model can take an input of the given height and width, pixels.
 * @throws ConfigError where a side is no multiple of the coarsest stride or there are fewer tokens than queries
 */
export function checkDFineInput(config: DFineConfig, [height, width]: readonly [number, number]): void {
  const step = coarsestStride(config);
  if (height <= 0 || width <= 0 || height % step !== 0 || width % step !== 0)
    throw new ConfigError(
      `input size: ${height}x${width} is not a multiple of ${step} on both sides; ` +
        `the next larger size is ${Math.ceil(Math.max(height, 1) / step) * step}x${Math.ceil(Math.max(width, 1) / step) * step}`,
    );
  const needed = config.decoder.numQueries;
  const tokens = tokenCount(config, [height, width]);
  if (tokens >= needed) return;
  let smallest = step;
  while (tokenCount(config, [smallest, smallest]) < needed) smallest += step;
  throw new ConfigError(
    `input size: ${height}x${width} gives ${tokens} tokens for ${needed} queries; ` +
      `use at least ${smallest}x${smallest}, or lower model.decoder.numQueries`,
  );
}
