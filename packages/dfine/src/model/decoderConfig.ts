import * as z from "zod";
import { rate, size } from "../config/numbers.ts";
import { BOX_HEADS } from "./boxRefiner.ts";
import { FUSIONS } from "./fusions.ts";
import { choiceOf } from "./parts.ts";
import { QUERY_SOURCES } from "./querySelection.ts";
import { weightingSchema } from "./weighting.ts";

export const decoderSchema = z.strictObject({
  type: z.literal("dfine"),
  hiddenDim: size,
  feedForwardDim: size,
  heads: size,
  layers: size,
  /** Layer whose output is used outside training; negative counts from the end. */
  evalLayer: z.int(),
  /** Sampling points per head on each level, finest first. */
  points: z.array(size).min(1),
  /** Scale of sampling offsets relative to the reference box. */
  offsetScale: z.number().positive(),
  crossAttention: z.enum(["default", "discrete"]),
  /** Linear layers before and after the sampling of each cross-attention, as in RT-DETR. */
  attentionProjections: z.boolean().default(false),
  /** Which of the encoder's maps are projected once more: those whose width is another than `hiddenDim`, or all, as in RT-DETR. */
  inputProjection: z.enum(["differing", "all"]).default("differing"),
  /** How the cross-attention result joins the query: D-FINE's target gate, or residual and layer norm. */
  fusion: choiceOf(FUSIONS),
  numQueries: size,
  querySelect: choiceOf(QUERY_SOURCES),
  learnQueryContent: z.boolean(),
  /** Anchors nearer than this to 0 or 1 in any component are invalid. */
  anchorMargin: rate,
  boxHead: choiceOf(BOX_HEADS),
  ...weightingSchema.shape,
});

export type DecoderConfig = z.infer<typeof decoderSchema>;

export function evalLayerIndex(decoder: { layers: number; evalLayer: number }): number {
  return decoder.evalLayer < 0 ? decoder.layers + decoder.evalLayer : decoder.evalLayer;
}
