import { type Initializer, Linear, Mlp } from "@dfine/nn";
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
  /** Of each layer; undefined where the deploy form has none. */
  readonly scores: (Linear | undefined)[];
  readonly boxes: Mlp[];
  readonly preBox: Mlp | undefined;
  /** Of the encoder's tokens. */
  readonly ofTokens: HeadPair | undefined;
  readonly members: Members;
  readonly #options: HeadOptions;

  constructor(options: HeadOptions) {
    const { hiddenDim, classes, layers, shared, forTokens, hasProposals } = options;
    const { distributions, features } = BOX_HEADS[options.boxHead];
    this.#options = options;
    const each = <T>(make: (layer: number) => T): T[] => {
      const made = Array.from({ length: shared ? 1 : layers }, (_, i) => make(i));
      return Array.from({ length: layers }, (_, i) => made[shared ? 0 : i]!);
    };
    // Where nothing is proposed, the first box is small; what refines it starts by leaving it as it is.
    const firstBias: Initializer = hasProposals ? 0 : () => Float32Array.of(0, 0, SIDE_BIAS, SIDE_BIAS);
    this.scores = each(() => scoreHead(hiddenDim, classes));
    this.boxes = each((i) => boxMlp(hiddenDim, features(options), distributions || i > 0 ? 0 : firstBias));
    this.preBox = distributions ? boxMlp(hiddenDim, 4, firstBias) : undefined;
    this.ofTokens = forTokens ? { score: scoreHead(hiddenDim, classes), box: boxMlp(hiddenDim, 4) } : undefined;
    const once = <T>(list: readonly T[]) => list.map((head, i) => (shared && i > 0 ? undefined : head));
    const { score, box } = this.ofTokens ?? {};
    this.members = {
      classEmbed: [...once(this.scores), score],
      ...(distributions
        ? { preBboxHead: this.preBox, decBboxHead: once(this.boxes), encBboxHead: box }
        : { bboxEmbed: [...once(this.boxes), box] }),
    };
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
