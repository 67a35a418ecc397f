import type { Tensor } from "@dfine/tensor";
import type { LevelSize } from "../packages/dfine/src/model/levelCache.ts";
import { unitError } from "./compare.ts";
import type { JsonTensor } from "./pack.ts";
import type { Measure } from "./unit.ts";

/** As packs write them. */
export type Size = readonly [height: number, width: number];
export const levelSize = ([height, width]: Size): LevelSize => ({ height, width });

/** A tensor whose infinite numbers JSON writes as words. */
export interface WordyTensor {
  readonly shape: readonly number[];
  readonly data: readonly (number | string)[];
}
export const numbersOf = ({ data }: WordyTensor): number[] =>
  data.map((value) => (value === "inf" ? Infinity : Number(value)));

/** How far a tensor is from the pack's numbers. */
export const measured = async (
  name: string,
  found: Tensor | undefined,
  expected: ArrayLike<number>,
): Promise<Measure> => ({
  name,
  error: unitError((await found?.data()) ?? [], expected),
});

/** Rows and columns of a map that are not padding, for each image of a mask [B, h, w] that starts at `start` of its row. */
export function filledIn(mask: JsonTensor, { height, width }: LevelSize, start = 0): LevelSize[] {
  const [batch, row] = [mask.shape[0]!, mask.data.length / mask.shape[0]!];
  return Array.from({ length: batch }, (_, b) => {
    const at = (y: number, x: number) => mask.data[b * row + start + y * width + x]!;
    const count = (length: number, padded: (i: number) => number) =>
      Array.from({ length }, (_, i) => padded(i)).filter((value) => value === 0).length;
    return { height: count(height, (y) => at(y, 0)), width: count(width, (x) => at(0, x)) };
  });
}
