import { type Linear, type Mlp, Module } from "@dfine/nn";
import { clamp, sigmoid, type Tensor } from "@dfine/tensor";
import { BOX_HEADS } from "./boxRefiner.ts";
import { type DecoderConfig, evalLayerIndex } from "./decoderConfig.ts";
import { DecoderLayer } from "./decoderLayer.ts";
import { type LayerOutputs, runLayers } from "./decoderPass.ts";
import { asFloat, binWeights } from "./integral.ts";
import type { LevelSize } from "./levelCache.ts";
import { Lqe } from "./lqe.ts";
import type { Tap } from "./outputs.ts";

/** Heads that turn queries into predictions; the deploy form lacks those it does not use. */
export interface DecoderHeads {
  /** Box [.., 4] → position [.., D]. */
  readonly queryPosHead: Mlp;
  /** Per layer, [.., D] → [.., C]. */
  readonly decScoreHead: readonly (Linear | undefined)[];
  /** Per layer, [.., D] → [.., features of the box head]. */
  readonly decBboxHead: readonly (Mlp | undefined)[];
  readonly preBboxHead: Mlp | undefined;
}

export interface DecoderStackInput {
  /** Queries [B, M, D]. */
  readonly content: Tensor;
  /** Their boxes [B, M, 4], cxcywh before the sigmoid. */
  readonly referenceUnact: Tensor;
  /** Tokens of all levels [B, N, D]. */
  readonly memory: Tensor;
  readonly levels: readonly LevelSize[];
  readonly attentionBias: Tensor | undefined;
  readonly heads: DecoderHeads;
  readonly tap: Tap | undefined;
  /** Outside training. */
  readonly everyLayer: boolean;
}

const POSITION_LIMIT = 10;

/** Decoder layers, each refining the boxes of the one before. */
export class DecoderStack extends Module<[input: DecoderStackInput], LayerOutputs> {
  readonly up: Tensor;
  readonly regScale: Tensor;
  readonly layers: DecoderLayer[];
  readonly lqeLayers: (Lqe | undefined)[];
  readonly #config: DecoderConfig;

  /** `up` and `regScale` [1] are shared with the module around it, as officially. */
  constructor(config: DecoderConfig, shared: { up: Tensor; regScale: Tensor }) {
    super();
    const each = <T>(make: () => T): T[] => Array.from({ length: config.layers }, make);
    this.up = shared.up;
    this.regScale = shared.regScale;
    const { hiddenDim, feedForwardDim, fusion, heads, points, offsetScale, crossAttention } = config;
    const projections = config.attentionProjections;
    const method = crossAttention === "discrete" ? "discrete" : "bilinear";
    const attention = { heads, points, offsetScale, method, projections, storesPointScale: true } as const;
    this.layers = each(() => new DecoderLayer({ hiddenDim, feedForwardDim, fusion, attention }));
    this.lqeLayers = BOX_HEADS[config.boxHead].distributions ? each(() => new Lqe()) : [];
    this.#config = config;
  }

  protected forward(input: DecoderStackInput): LayerOutputs {
    const { memory, levels, attentionBias, heads, tap, everyLayer } = input;
    const { heads: attentionHeads, boxHead, regMax, attentionProjections } = this.#config;
    const [batch, tokens, features] = memory.shape as [number, number, number];
    const value = attentionProjections
      ? memory
      : memory.reshape([batch, tokens, attentionHeads, features / attentionHeads]);
    const last = this.training ? this.layers.length - 1 : evalLayerIndex(this.#config);
    const refine = BOX_HEADS[boxHead].begin({
      heads: heads.decBboxHead,
      preHead: heads.preBboxHead,
      weights: binWeights({ up: this.up, regScale: this.regScale, regMax }),
      regScale: asFloat(this.regScale),
      tap,
    });
    return runLayers(this.layers.slice(0, last + 1), {
      ...{ content: input.content, reference: sigmoid(input.referenceUnact), attentionBias, tap },
      attend: { value, levels },
      position: (_, { reference }) => clamp(heads.queryPosHead.call(reference), -POSITION_LIMIT, POSITION_LIMIT),
      refine,
      training: this.training,
      isWanted: (i) => this.training || everyLayer || i === last,
      score: (i, seen) => heads.decScoreHead[i]!.call(seen),
      rate: (i, scores, corners) => (corners ? this.lqeLayers[i]!.call(scores, corners) : scores),
    });
  }

  prune(): void {
    const kept = evalLayerIndex(this.#config);
    for (const layer of this.layers.splice(kept + 1)) layer.dispose();
    keepOnly(this.lqeLayers, kept);
  }
}

/** Frees all modules of a list but one, which stays at its place. */
export function keepOnly<M extends Module>(modules: (M | undefined)[], kept: number): void {
  modules.forEach((module, i) => {
    if (i === kept) return;
    module?.dispose();
    modules[i] = undefined;
  });
}
