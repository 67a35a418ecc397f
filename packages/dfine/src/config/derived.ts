import { roundHalfEven } from "@dfine/nn";

/** What the size of an encoder block follows from. */
export interface BlockSize {
  readonly hiddenDim: number;
  /** Inner width of a block relative to `hiddenDim`; see `elanWidth`. */
  readonly expansion: number;
  /** Depth of a block relative to 3; see `repBlocks`. */
  readonly depthMult: number;
}

/** Inner width of an encoder block, c4 of RepNCSPELAN4. */
export const elanWidth = ({ expansion, hiddenDim }: BlockSize): number =>
  roundHalfEven(Math.floor((expansion * hiddenDim) / 2));

/** RepVGG blocks in each CSP layer of an encoder block. */
export const repBlocks = ({ depthMult }: BlockSize): number => roundHalfEven(3 * depthMult);
