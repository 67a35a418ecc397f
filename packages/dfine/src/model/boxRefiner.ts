import type { Module } from "@dfine/nn";
import type { Tensor } from "@dfine/tensor";
import { distanceToBox, moveBox } from "../boxes.ts";
import { integral } from "./integral.ts";
import type { PredictionSet, Tap } from "./outputs.ts";

type Head = Module<[x: Tensor], Tensor>;

/** What boxes are made with. */
export interface RefinerParts {
  /** Head of each layer: [B, M, D] → [B, M, `features`]. */
  readonly heads: readonly (Head | undefined)[];
  /** Plain box head after the first layer, where there is one. */
  readonly preHead: Head | undefined;
  /** W(n) [regMax + 1]. */
  readonly weights: Tensor;
  /** [1] */
  readonly regScale: Tensor;
  /** Of the inverse sigmoid; by default that of `moveBox`. */
  readonly epsilon?: number;
  readonly tap: Tap | undefined;
}

/** What a layer gives. */
export interface LayerOutput {
  /** Queries [B, M, D], which the next layer goes on from. */
  readonly x: Tensor;
  /** The same as heads see them: behind the decoder's last norm, where there is one. */
  readonly seen: Tensor;
}

export interface RefinedBoxes {
  readonly predicted: Pick<PredictionSet, "boxes" | "corners" | "refPoints">;
  /** What the next layer looks around: boxes [B, M, 4], or still the points [B, M, 2]. */
  readonly next: Tensor;
  /** Boxes of the plain head; after the first layer only. */
  readonly pre?: Tensor;
}

/** Turns one layer's queries and what they looked around, boxes [B, M, 4] or points [B, M, 2], into better boxes. */
export type Refine = (layer: number, output: LayerOutput, reference: Tensor) => RefinedBoxes;

/** A way in which decoder layers predict boxes. */
export interface BoxHead {
  /** Numbers per query that each layer's head gives. */
  features(config: { readonly regMax: number }): number;
  /** Whether edges are distributions: then there is a plain head after the first layer, and quality is read off them. */
  readonly distributions: boolean;
  /** Starts a pass through the layers. */
  begin(parts: RefinerParts): Refine;
}

/**
 * The first layer's plain box is the reference that every layer refines by edge distances, whose distributions add up from
 * layer to layer. D-FINE §4.1 (FDR).
 */
const distribution: BoxHead = {
  features: ({ regMax }) => 4 * (regMax + 1),
  distributions: true,
  begin: ({ heads, preHead, weights, regScale, epsilon, tap }) => {
    let refPoints: Tensor | undefined;
    let corners: Tensor | undefined;
    let previous: Tensor | undefined;
    return (layer, { seen }, reference) => {
      const pre = refPoints ? undefined : moveBox(preHead!.call(seen), reference, epsilon);
      if (pre) tap?.("pre.boxes", pre);
      refPoints ??= pre!.detach();
      const delta = heads[layer]!.call(previous ? seen.add(previous) : seen);
      tap?.(`decoder.corners_delta.${layer}`, delta);
      corners = corners ? delta.add(corners) : delta;
      previous = seen.detach();
      const boxes = distanceToBox(refPoints, integral(corners, weights), regScale);
      return { predicted: { boxes, corners, refPoints }, next: boxes.detach(), ...(pre ? { pre } : {}) };
    };
  },
};

/** Four plain deltas per layer; `follow` says which boxes they move and what the next layer looks around. */
const plain = (
  follow: () => (
    move: (from: Tensor, what: Tensor) => Tensor,
    output: LayerOutput,
    reference: Tensor,
  ) => { readonly boxes: Tensor; readonly next: Tensor },
): BoxHead => ({
  features: () => 4,
  distributions: false,
  begin: ({ heads, epsilon, tap }) => {
    const step = follow();
    return (layer, output, reference) => {
      const moves = new Map<Tensor, Tensor>();
      const head = heads[layer]!;
      const move = (from: Tensor, what: Tensor): Tensor => {
        const delta = moves.get(what) ?? head.call(what);
        moves.set(what, delta);
        return moveBox(delta, from, epsilon);
      };
      const { boxes, next } = step(move, output, reference);
      tap?.(`decoder.corners_delta.${layer}`, moves.get(output.seen)!);
      return { predicted: { boxes }, next };
    };
  },
});

/** Every layer moves the same boxes or points, those that it began with. Zhu et al. 2021, without refinement. */
const fixed = plain(() => (move, { seen }, reference) => ({ boxes: move(reference, seen), next: reference }));

/** Every layer moves the box of the one before, without a gradient for that one. Zhu et al. 2021. */
const step = plain(() => (move, { seen }, reference) => {
  const boxes = move(reference, seen);
  return { boxes, next: boxes.detach() };
});

/**
 * Every layer moves the box of the one before, and the gradient reaches one layer back ("look forward twice", Zhang et al.
 * 2022), as in DINO and RT-DETR. What the next layer looks around comes of the queries before the last norm.
 */
const delta = plain(() => {
  let previous: Tensor | undefined;
  return (move, { x, seen }, reference) => {
    const boxes = move(previous ?? reference, seen);
    previous = move(reference, x);
    return { boxes, next: previous.detach() };
  };
});

/** Edges as distributions over bins refined layer by layer, or four plain deltas per layer. */
export const BOX_HEADS = { distribution, delta, step, fixed } satisfies Record<string, BoxHead>;
