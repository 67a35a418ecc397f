import type { Tensor } from "@dfine/tensor";
import type { Floats, MatchedPairs } from "../loss/matches.ts";

/** What one head predicts for Q queries per image, and what the criterion needs to judge it. */
export interface PredictionSet {
  /** [B, Q, C], before the sigmoid. */
  readonly logits: Tensor;
  /** [B, Q, 4], cxcywh in 0–1, not clamped. */
  readonly boxes: Tensor;
  /** Edge distributions [B, Q, 4·(regMax + 1)], before the softmax; edges left, top, right, bottom. */
  readonly corners?: Tensor;
  /** Detached reference boxes [B, Q, 4] (cxcywh) that the distances of `corners` start from. */
  readonly refPoints?: Tensor;
  /** The queries as the layer has left them [B, Q, D]; in training only. */
  readonly features?: Tensor;
  /** The last layer's predictions for the same queries. */
  readonly teacher?: Pick<PredictionSet, "logits" | "corners" | "features">;
}

/**
 * Random numbers of denoising, each uniform in [0, 1) and a function of a flat index: of a query for the labels, four for
 * each query for the boxes. Which queries are counted is the denoiser's: with padding, or without.
 */
export interface DenoisingDraws {
  /** Whether the label may change. */
  labelMask(index: number): number;
  /** Which class it changes to. */
  label(index: number): number;
  /** To which side an edge moves. */
  sign(index: number): number;
  /** How far it moves. */
  magnitude(index: number): number;
}

/** Noisy copies of the targets, which the decoder learns to restore. Qdn = groups · groupSize, 0 without targets. */
export interface DenoisingQueries {
  readonly numQueries: number;
  readonly groups: number;
  /** The largest number of targets of an image; twice that where a positive half is followed by a negative one. */
  readonly groupSize: number;
  /** [B, Qdn]; padding has the label `classes`. */
  readonly labels: Int32Array;
  /** [B, Qdn, 4], cxcywh through the inverse sigmoid. */
  readonly boxesUnact: Floats;
  /** Positive queries of each image with their targets. */
  readonly positives: readonly MatchedPairs[];
  /** Whether all others learn to be background; else they are padding, which is not judged. */
  readonly negatives: boolean;
}

/** Predictions for the denoising queries, with the targets that they were made from. */
export interface DenoisingOutputs extends Pick<DenoisingQueries, "positives" | "groups" | "negatives"> {
  /** One set per decoder layer. */
  readonly layers: readonly PredictionSet[];
  readonly pre?: PredictionSet;
}

/** a and 1/c of W(n), [1] each. */
export interface LearnedWeighting {
  readonly up: Tensor;
  readonly regScale: Tensor;
}

/** Everything that the criterion judges in one training step. */
export interface TrainingOutputs {
  /** Last decoder layer. */
  readonly last: PredictionSet;
  /** Decoder layers before the last, in order. */
  readonly aux: readonly PredictionSet[];
  /** Plain box head after the first decoder layer; a model with plain deltas has none. */
  readonly pre?: PredictionSet;
  /** Encoder head at the selected tokens. */
  readonly enc: readonly PredictionSet[];
  /** Encoder head at all tokens, of whose logits the first says whether there is an object: they are no queries. */
  readonly tokens?: PredictionSet;
  /** Absent where the batch has no target or denoising is off. */
  readonly dn?: DenoisingOutputs;
  /** W(n) as it stands, where it is learned. */
  readonly weighting?: LearnedWeighting;
}

/**
 * Sees intermediate tensors by name as they are computed: `backbone.i`, `encoder.i`, `topk_index`, `topk_score`,
 * `decoder.layer.i`, `decoder.corners_delta.i`, `pre.boxes`; in other DETRs also `input_proj.i`, `position.i`,
 * `encoder.layer.i`, and `chosen.logits` and `chosen.boxes` of what became queries, or `tokens.…` of all tokens. They are
 * freed when the forward pass ends, unless kept.
 */
export type Tap = (name: string, tensor: Tensor) => void;

/** What a forward pass may be given besides images. */
export interface ForwardOptions {
  /** Used in training only. */
  readonly denoising?: DenoisingQueries | undefined;
  /** Sees intermediate tensors. */
  readonly tap?: Tap | undefined;
  /** Outside training: predictions of the decoder layers before the evaluation layer too. Default false. */
  readonly everyLayer?: boolean | undefined;
  /** Height and width of each image, pixels, where some are padded at the right and at the bottom. */
  readonly validSizes?: readonly (readonly [height: number, width: number])[] | undefined;
  /** Which tokens become queries [B, Q], i32, best first, instead of those that the model would choose. */
  readonly selection?: Tensor | undefined;
}

/** Predictions outside training: those of the evaluation layer. */
export interface Predictions extends Omit<PredictionSet, "teacher" | "features"> {
  /** W(n) as it stands, where it is learned. */
  readonly weighting?: LearnedWeighting;
  /** Of the layers before it, in order, as if the model ended there; where `everyLayer` asked for them. */
  readonly earlier?: readonly Omit<PredictionSet, "teacher" | "features">[];
}
