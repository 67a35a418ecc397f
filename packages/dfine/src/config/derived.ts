/** Rounds to the nearest integer, halves to the even one, as Python does. */
export function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

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
