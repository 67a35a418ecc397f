import { type Initializer, Linear, Mlp } from "@dfine/nn";
import type { Tensor } from "@dfine/tensor";
import { BOX_HEADS } from "../boxRefiner.ts";
import type { Members } from "./group.ts";

/** Logit of the probability 0.01: few queries hold an object of a given class. */
const SCORE_BIAS = -Math.log((1 - 0.01) / 0.01);
/** Logit of the side, in image sides, of boxes that nothing was proposed for. */
const SIDE_BIAS = -2;

/** Judges queries or tokens [..., D]. */
export interface HeadPair {
  /** → class logits [..., C] */
  readonly score: Linear;
  /** → four deltas [..., 4] */
  readonly box: Mlp;
}

/** Three linear layers, of which the last gives `biasInit` at first. */
export const boxMlp = (hiddenDim: number, outputs: number, biasInit: Initializer = 0): Mlp =>
  new Mlp(hiddenDim, outputs, { layers: 3, hidden: hiddenDim, last: { weightInit: 0, biasInit } });

export const scoreHead = (hiddenDim: number, classes: number): Linear =>
  new Linear(hiddenDim, classes, { biasInit: SCORE_BIAS });

/** What heads are made for. */
export interface HeadOptions {
  readonly hiddenDim: number;
  readonly classes: number;
  readonly layers: number;
  /** Whether all layers have the same ones. */
  readonly shared: boolean;
  readonly boxHead: keyof typeof BOX_HEADS;
  readonly regMax: number;
  /** Whether one more of each judges the encoder's tokens; queries begin at what it proposes. */
  readonly forTokens: boolean;
  /** Whether queries begin at proposals, whoever makes them. */
  readonly hasProposals: boolean;
}

/** Heads of decoder layers, and where they stand in the state dict. */
export class Heads {
  /** Of the encoder's tokens. */
  readonly ofTokens: HeadPair | undefined;
  readonly preBox: Mlp | undefined;
  readonly members: Members;
  /** By layers; where they share one, the first alone. Those of tokens follow, where they are of the same kind. */
  readonly #scores: (Linear | undefined)[];
  readonly #boxes: (Mlp | undefined)[];
  readonly #options: HeadOptions;

  constructor(options: HeadOptions) {
    const { hiddenDim, classes, layers, shared, forTokens, hasProposals } = options;
    const { distributions, features } = BOX_HEADS[options.boxHead];
    const each = <T>(make: (layer: number) => T): (T | undefined)[] =>
      Array.from({ length: layers }, (_, i) => (shared && i > 0 ? undefined : make(i)));
    // Where nothing is proposed, the first box is small; what refines it starts by leaving it as it is.
    const firstBias: Initializer = hasProposals ? 0 : () => Float32Array.of(0, 0, SIDE_BIAS, SIDE_BIAS);
    this.#options = options;
    this.#scores = each(() => scoreHead(hiddenDim, classes));
    this.#boxes = each((i) => boxMlp(hiddenDim, features(options), distributions || i > 0 ? 0 : firstBias));
    this.preBox = distributions ? boxMlp(hiddenDim, 4, firstBias) : undefined;
    this.ofTokens = forTokens ? { score: scoreHead(hiddenDim, classes), box: boxMlp(hiddenDim, 4) } : undefined;
    const { score, box } = this.ofTokens ?? {};
    this.#scores.push(score);
    if (!distributions) this.#boxes.push(box);
    this.members = {
      classEmbed: this.#scores,
      ...(distributions
        ? { preBboxHead: this.preBox, decBboxHead: this.#boxes, encBboxHead: box }
        : { bboxEmbed: this.#boxes }),
    };
  }

  /** Class logits [B, M, C] of a layer. */
  score(layer: number, seen: Tensor): Tensor {
    return this.#scores[this.#place(layer)]!.call(seen);
  }

  /** Box head of each layer. */
  get boxes(): Mlp[] {
    return Array.from({ length: this.#options.layers }, (_, i) => this.#boxes[this.#place(i)]!);
  }

  #place(layer: number): number {
    return this.#options.shared ? 0 : layer;
  }

  /** Frees the class heads of all layers but the last. */
  prune(): void {
    const { shared, layers } = this.#options;
    for (const head of shared ? [] : this.#scores.splice(0, layers - 1, ...new Array(layers - 1))) head?.dispose();
  }

  /** What else the official code calls a tensor of the heads: it lists shared heads for each layer, and some in the decoder too. */
  aliases(name: string): string[] {
    const [, kind, index, rest] = /^(class_embed|bbox_embed)\.(\d+)\.(.+)$/.exec(name) ?? [];
    if (kind === undefined) return [];
    const { shared, layers, boxHead, hasProposals } = this.#options;
    const places = shared && index === "0" ? Array.from({ length: layers }, (_, i) => i) : [index];
    const inDecoder = kind === "class_embed" ? hasProposals : boxHead !== "fixed";
    const names = places.map((place) => `${kind}.${place}.${rest}`);
    return [...names.slice(1), ...(inDecoder ? names.map((other) => `transformer.decoder.${other}`) : [])];
  }
}
