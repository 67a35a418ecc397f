import { LayerNorm, Module, xavierUniform } from "@dfine/nn";
import { type Tensor, tensor } from "@dfine/tensor";
import * as z from "zod";
import { size } from "../../config/numbers.ts";
import { BOX_HEADS } from "../boxRefiner.ts";
import { DecoderLayer } from "../decoderLayer.ts";
import { type LayerOutputs, runLayers } from "../decoderPass.ts";
import type { LevelSize } from "../levelCache.ts";
import type { Tap } from "../outputs.ts";
import { broken, choiceOf, type Level, type Part } from "../parts.ts";
import { weightingFunction, weightingSchema } from "../weighting.ts";
import { aroundLevels, type Extents } from "./extents.ts";
import type { Heads } from "./heads.ts";
import { QUERY_POSITIONS } from "./queryPosition.ts";

export const decoderSchema = z.strictObject({
  type: z.literal("detr"),
  layers: size,
  feedForwardDim: size,
  heads: size,
  /** Sampling points per head on each level. */
  points: size,
  /** How queries get the position by which they are compared. */
  queryPosition: choiceOf(QUERY_POSITIONS),
  boxHead: choiceOf(BOX_HEADS),
  /** Whether all layers have the same heads. */
  sharedHeads: z.boolean(),
  /** A norm that heads see queries behind. */
  finalNorm: z.boolean(),
  /** Nearest to 0 and 1 that the inverse sigmoid of boxes takes. */
  epsilon: z.number().positive(),
  ...weightingSchema.omit({ learnWeighting: true }).shape,
});
export type DecoderConfig = z.infer<typeof decoderSchema>;

export interface DecoderInput {
  /** Queries [B, M, D]. */
  readonly content: Tensor;
  /** Their position [B or 1, M, D], where it is fixed. */
  readonly position: Tensor | undefined;
  /** Boxes [B, M, 4] or points [B, M, 2], in 0–1. */
  readonly reference: Tensor;
  /** Tokens [B, N, D]. */
  readonly memory: Tensor;
  readonly levels: readonly LevelSize[];
  readonly extents: Extents | undefined;
  readonly attentionBias: Tensor | undefined;
  readonly tap: Tap | undefined;
  /** Outside training: predictions of all layers. */
  readonly everyLayer: boolean;
}

/** Layers of deformable attention in which queries refine their boxes. */
export class DetrDecoder extends Module<[input: DecoderInput], LayerOutputs> {
  readonly layers: DecoderLayer[];
  readonly norm: LayerNorm | undefined;
  readonly #config: DecoderConfig;
  readonly #heads: Heads;
  readonly #position: ReturnType<(typeof QUERY_POSITIONS)["sine"]["make"]>["of"];

  /** The heads belong to the model around it, as officially. */
  constructor(config: DecoderConfig, { levels, heads }: { levels: readonly Level[]; heads: Heads }) {
    super();
    const hiddenDim = levels[0]!.channels;
    const { feedForwardDim, points } = config;
    const attention = { heads: config.heads, points: levels.map(() => points), projections: true };
    const options = { hiddenDim, feedForwardDim, attention, outInit: xavierUniform } as const;
    this.layers = Array.from(
      { length: config.layers },
      () => new DecoderLayer({ ...options, fusion: "residual", crossNormFirst: true }),
    );
    this.norm = config.finalNorm ? new LayerNorm(hiddenDim) : undefined;
    const { members, of } = QUERY_POSITIONS[config.queryPosition].make(hiddenDim);
    Object.assign(this, members);
    this.#position = of;
    this.#config = config;
    this.#heads = heads;
  }

  protected forward(input: DecoderInput): LayerOutputs {
    const { content, position: fixed, reference, memory, levels, extents, attentionBias, tap, everyLayer } = input;
    const { boxes, preBox } = this.#heads;
    const { boxHead, regScale, epsilon } = this.#config;
    const { backend } = memory;
    const weights = weightingFunction(this.#config);
    const refine = BOX_HEADS[boxHead].begin({
      ...{ heads: boxes, preHead: preBox, epsilon, tap },
      weights: tensor(weights, [weights.length], { backend }),
      regScale: tensor([regScale], [1], { backend }),
    });
    return runLayers(this.layers, {
      ...{ content, reference, attentionBias, tap, refine },
      attend: { value: memory, levels, padding: extents?.padding },
      position: (layer, { x, reference }) => this.#position({ layer, x, reference, fixed, extents }),
      around: (reference) => aroundLevels(reference, extents),
      see: (x) => this.norm?.call(x) ?? x,
      training: this.training,
      isWanted: (i) => this.training || everyLayer || i === this.layers.length - 1,
      score: (i, seen) => this.#heads.score(i, seen),
    });
  }
}

function problems({ heads }: DecoderConfig, levels: readonly Level[]): string[] {
  const width = levels[0]!.channels;
  return broken([
    [width % heads === 0 && width % 4 === 0, `heads ${heads} and 4 must divide model.neck.hiddenDim ${width}`],
  ]).map((problem) => `model.decoder.${problem}`);
}

export const decoder: Part<
  typeof decoderSchema,
  { problems(levels: readonly Level[]): string[]; make(levels: readonly Level[], heads: Heads): DetrDecoder }
> = {
  schema: decoderSchema,
  defaults: () => ({
    type: "detr",
    ...{ layers: 6, feedForwardDim: 1024, heads: 8, points: 4, queryPosition: "scaledSine", boxHead: "step" },
    ...{ sharedHeads: false, finalNorm: false, epsilon: 1e-3, regMax: 32, regScale: 4, up: 0.5 },
  }),
  plan: (config) => ({
    problems: (levels) => problems(config, levels),
    make: (levels, heads) => new DetrDecoder(config, { levels, heads }),
  }),
};
