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
  readonly tap: Tap | undefined;
}

export interface RefinedBoxes extends Pick<PredictionSet, "boxes" | "corners" | "refPoints"> {
  /** Boxes of the plain head; after the first layer only. */
  readonly pre?: Tensor;
}

/** Turns one layer's queries x [B, M, D] and their boxes `reference` [B, M, 4] into better boxes. */
export type Refine = (layer: number, x: Tensor, reference: Tensor) => RefinedBoxes;

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
  begin: ({ heads, preHead, weights, regScale, tap }) => {
    let refPoints: Tensor | undefined;
    let corners: Tensor | undefined;
    let previous: Tensor | undefined;
    return (layer, x, reference) => {
      const pre = refPoints ? undefined : moveBox(preHead!.call(x), reference);
      refPoints ??= pre!.detach();
      const delta = heads[layer]!.call(previous ? x.add(previous) : x);
      tap?.(`decoder.corners_delta.${layer}`, delta);
      corners = corners ? delta.add(corners) : delta;
      previous = x.detach();
      const boxes = distanceToBox(refPoints, integral(corners, weights), regScale);
      return { boxes, corners, refPoints, ...(pre ? { pre } : {}) };
    };
  },
};

/**
 * Every layer moves the box of the one before by four plain deltas; the gradient reaches one layer back ("look forward
 * twice", Zhang et al. 2022), as in RT-DETR.
 */
const delta: BoxHead = {
  features: () => 4,
  distributions: false,
  begin: ({ heads, tap }) => {
    let previous: Tensor | undefined;
    return (layer, x, reference) => {
      const moved = heads[layer]!.call(x);
      tap?.(`decoder.corners_delta.${layer}`, moved);
      const boxes = moveBox(moved, previous ?? reference);
      previous = moveBox(moved, reference);
      return { boxes };
    };
  },
};

/** Edges as distributions over bins refined layer by layer, or four plain deltas per layer. */
export const BOX_HEADS = { distribution, delta } satisfies Record<string, BoxHead>;
