import * as z from "zod";
import { ConfigError } from "../../config/errors.ts";
import { size } from "../../config/numbers.ts";
import { RESIZES } from "../../data/inputFit.ts";
import { BACKBONES } from "../backbones.ts";
import { DENOISERS } from "../denoisers.ts";
import { broken, type Level, partTable } from "../parts.ts";
import { deformable } from "./deformableEncoder.ts";
import { decoder } from "./detrDecoder.ts";
import { Heads } from "./heads.ts";
import { projection } from "./neck.ts";
import { proposals } from "./proposals.ts";
import { QUERY_POSITIONS } from "./queryPosition.ts";
import { anchors, points } from "./tables.ts";

const NECKS = partTable({ projection }, "projection");
const ENCODERS = partTable({ deformable }, "deformable");
const QUERIES = partTable({ points, anchors, proposals }, "anchors");
const DECODERS = partTable({ detr: decoder }, "detr");

/** The parts of a DETR that there is a choice of, by their keys. */
export const DETR_PARTS = {
  ...{ backbone: BACKBONES, neck: NECKS, encoder: ENCODERS, queries: QUERIES },
  ...{ decoder: DECODERS, denoising: DENOISERS },
};

export const detrSchema = z.strictObject({
  architecture: z.literal("detr"),
  classes: z.array(z.string()).min(1, "at least one class name is needed"),
  /** Input height and width outside training, pixels; for `shortestEdge` the shorter side, and the most of the longer one. */
  evalSize: z.tuple([size, size]),
  /** How images come to that size. */
  resize: z.enum(RESIZES),
  backbone: BACKBONES.schema,
  neck: NECKS.schema,
  encoder: ENCODERS.schema,
  queries: QUERIES.schema,
  decoder: DECODERS.schema,
  denoising: DENOISERS.schema,
  /** Detections per image. */
  numTopQueries: size,
});

/** The parts of another DETR and their keys. @interface */
export type DetrConfig = z.infer<typeof detrSchema>;

/** The parts of a model, each planned for what the one before it hands on. */
export function planDetr(config: DetrConfig) {
  const backbone = BACKBONES.plan(config.backbone);
  const neck = NECKS.plan(config.neck);
  const encoder = ENCODERS.plan(config.encoder);
  const source = QUERIES.plan(config.queries);
  const denoiser = DENOISERS.plan(config.denoising);
  const maps = backbone.levels?.() ?? [];
  const levels = neck.levels?.(maps) ?? maps;
  const { layers, boxHead, sharedHeads: shared, regMax } = config.decoder;
  const heads = () =>
    new Heads({
      ...{ hiddenDim: config.neck.hiddenDim, classes: config.classes.length, layers, shared, boxHead, regMax },
      forTokens: source.chooses === "layer heads",
      hasProposals: source.chooses !== "no",
    });
  return { backbone, neck, encoder, source, denoiser, maps, levels, heads, decoder: DECODERS.plan(config.decoder) };
}

/** What does not go together in a model whose values are each all right, for messages; empty where all does. */
export function brokenDetrRules(config: DetrConfig): string[] {
  const { backbone, neck, encoder, source, decoder, maps, levels } = planDetr(config);
  const early = [...(backbone.problems?.() ?? []), ...(neck.problems?.(maps) ?? [])];
  if (early.length > 0) return early;
  const { queryPosition, boxHead } = config.decoder;
  const { isFixed } = QUERY_POSITIONS[queryPosition];
  const { type } = config.queries;
  return [
    ...(encoder.problems?.(levels) ?? []),
    ...(decoder.problems?.(levels) ?? []),
    ...broken([
      [
        source.fixesPosition || !isFixed,
        `model.decoder.queryPosition ${queryPosition} needs queries that have a position; model.queries.type ${type} gives none: choose sine or scaledSine`,
      ],
      [
        source.reference === 4 || (isFixed && boxHead !== "delta"),
        `model.queries.type ${type} starts from points, which go with queryPosition fixed and any boxHead but delta`,
      ],
    ]),
  ];
}

/** Tokens over all levels for an input of the given height and width, pixels: each stride of 2 rounds up. */
export const detrTokens = (levels: readonly Level[], [height, width]: readonly [number, number]): number =>
  levels.reduce((sum, { stride }) => sum + Math.ceil(height / stride) * Math.ceil(width / stride), 0);

/**
 * Checks that a model can take an input of the given height and width, pixels.
 * @throws ConfigError where there are fewer tokens than queries that are chosen among them
 */
export function checkDetrInput(config: DetrConfig, input: readonly [number, number]): void {
  const { source, levels } = planDetr(config);
  const [height, width] = input;
  if (height < 1 || width < 1)
    throw new ConfigError(`input size: ${height}x${width} has no pixels; give a height and a width from 1 on`);
  const tokens = detrTokens(levels, input);
  if (source.chooses === "no" || tokens >= source.count) return;
  let smallest = 32;
  while (detrTokens(levels, [smallest, smallest]) < source.count) smallest += 32;
  throw new ConfigError(
    `input size: ${height}x${width} gives ${tokens} tokens for ${source.count} queries; ` +
      `use at least ${smallest}x${smallest}, or lower model.queries.count`,
  );
}
