import { type Linear, type Mlp, Module } from "@dfine/nn";
import { clamp, sigmoid, type Tensor } from "@dfine/tensor";
import { BOX_HEADS } from "./boxRefiner.ts";
import { type DecoderConfig, evalLayerIndex } from "./decoderConfig.ts";
import { DecoderLayer } from "./decoderLayer.ts";
import { asFloat, binWeights } from "./integral.ts";
import type { LevelSize } from "./levelCache.ts";
import { Lqe } from "./lqe.ts";
import type { PredictionSet, Tap } from "./outputs.ts";

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

export interface DecoderStackOutput {
  /** Of every layer in training or where all are asked for, of the evaluation layer otherwise. */
  readonly layers: PredictionSet[];
  /** Of the plain box head after the first layer; in training only. */
  readonly pre?: PredictionSet;
}

const POSITION_LIMIT = 10;

/** Decoder layers, each refining the boxes of the one before. */
export class DecoderStack extends Module<[input: DecoderStackInput], DecoderStackOutput> {
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
    this.layers = each(() => new DecoderLayer(config));
    this.lqeLayers = BOX_HEADS[config.boxHead].distributions ? each(() => new Lqe()) : [];
    this.#config = config;
  }

  protected forward(input: DecoderStackInput): DecoderStackOutput {
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
    const layers: PredictionSet[] = [];
    let before: PredictionSet | undefined;
    let x = input.content;
    let reference = sigmoid(input.referenceUnact);
    for (let i = 0; i <= last; i++) {
      const position = clamp(heads.queryPosHead.call(reference), -POSITION_LIMIT, POSITION_LIMIT);
      x = this.layers[i]!.call({ x, position, reference, value, levels, attentionBias });
      tap?.(`decoder.layer.${i}`, x);
      const { pre, ...refined } = refine(i, x, reference);
      reference = refined.boxes.detach();
      if (!this.training && !everyLayer && i < last) continue;
      const scores = heads.decScoreHead[i]!.call(x);
      if (this.training && pre) before = { logits: scores, boxes: pre };
      const logits = refined.corners ? this.lqeLayers[i]!.call(scores, refined.corners) : scores;
      layers.push({ logits, ...refined, ...(this.training ? { features: x } : {}) });
    }
    return { layers, ...(before ? { pre: before } : {}) };
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
