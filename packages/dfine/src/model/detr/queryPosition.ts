import { Mlp, xavierUniform } from "@dfine/nn";
import type { Tensor } from "@dfine/tensor";
import type { Extents } from "./extents.ts";
import type { Members } from "./group.ts";
import { boxFeatures } from "./sine.ts";

/** What the position of queries may be made of. */
export interface PositionInput {
  readonly layer: number;
  /** The layer's input [B, M, D]. */
  readonly x: Tensor;
  /** Boxes [B, M, 4] that the layer looks around. */
  readonly reference: Tensor;
  /** Which queries brought along [B or 1, M, D]. */
  readonly fixed: Tensor | undefined;
  readonly extents: Extents | undefined;
}

/** A way in which queries get the position by which they are compared [B or 1, M, D]. */
interface QueryPosition {
  /** Whether queries bring it along, or it is made of their boxes. */
  readonly isFixed: boolean;
  readonly make: (hiddenDim: number) => { readonly members: Members; readonly of: (input: PositionInput) => Tensor };
}

const mlp = (inputs: number, hiddenDim: number): Mlp =>
  new Mlp(inputs, hiddenDim, { layers: 2, hidden: hiddenDim, all: { weightInit: xavierUniform } });

/** From the sines of the box, as a share of the finest map. Liu et al. 2022 (DAB-DETR). */
function sinePosition(hiddenDim: number) {
  const refPointHead = mlp(2 * hiddenDim, hiddenDim);
  return {
    members: { refPointHead },
    of: ({ reference, extents }: PositionInput): Tensor => {
      const onMap = extents
        ? reference.mul(extents.ratios.slice([null, null, { start: 0, end: 1 }]).squeeze(2))
        : reference;
      return refPointHead.call(boxFeatures(onMap, [1, 0, 2, 3], { features: hiddenDim / 2, temperature: 10000 }));
    },
  };
}

/** Brought along; from the box; from the box, scaled by the content from the second layer on. */
export const QUERY_POSITIONS = {
  fixed: { isFixed: true, make: () => ({ members: {}, of: ({ fixed }) => fixed! }) },
  sine: { isFixed: false, make: sinePosition },
  scaledSine: {
    isFixed: false,
    make: (hiddenDim) => {
      const { members, of } = sinePosition(hiddenDim);
      const queryScale = mlp(hiddenDim, hiddenDim);
      return {
        members: { ...members, queryScale },
        of: (input) => (input.layer === 0 ? of(input) : of(input).mul(queryScale.call(input.x))),
      };
    },
  },
} satisfies Record<string, QueryPosition>;
