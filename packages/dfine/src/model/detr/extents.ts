import { type Backend, type Tensor, tensor } from "@dfine/tensor";
import type { LevelSize } from "../levelCache.ts";

/** Height and width, pixels. */
export type Size = readonly [height: number, width: number];

/** What of the maps of a batch images fill that were padded at the right and at the bottom. */
export interface Extents {
  /** Of each image on each level: how many rows and columns. */
  readonly filled: readonly (readonly LevelSize[])[];
  /** Which tokens are padding [B, N], bool. */
  readonly padding: Tensor;
  /** Share of each map that is filled [B, 1, levels, 4]: of its width, height, width, height. */
  readonly ratios: Tensor;
}

/** How many of `length` cells have a pixel of the image at their nearest pixel: `interpolate` of PyTorch, in float32. */
function filledCells(length: number, { filled, whole }: { filled: number; whole: number }): number {
  const scale = Math.fround(whole / length);
  let cells = 0;
  while (cells < length && Math.min(Math.floor(Math.fround(cells * scale)), whole - 1) < filled) cells++;
  return cells;
}

/** How many rows and columns of each level an image of size `valid` fills in a batch of size `whole`. */
export const filledOf = (valid: Size, whole: Size, levels: readonly LevelSize[]): LevelSize[] =>
  levels.map(({ height, width }) => ({
    height: filledCells(height, { filled: valid[0], whole: whole[0] }),
    width: filledCells(width, { filled: valid[1], whole: whole[1] }),
  }));

const isFull = (valid: Size, whole: Size): boolean => valid[0] === whole[0] && valid[1] === whole[1];

/** Where images of sizes `valid` lie in a batch of size `whole`; undefined where they all fill it. */
export function extentsOf(
  valid: readonly Size[] | undefined,
  { whole, levels, backend }: { whole: Size; levels: readonly LevelSize[]; backend: Backend },
): Extents | undefined {
  if (!valid || valid.every((size) => isFull(size, whole))) return undefined;
  const filled = valid.map((size) => filledOf(size, whole, levels));
  const padding = filled.flatMap((sizes) =>
    sizes.flatMap((size, l) => {
      const { height, width } = levels[l]!;
      return Array.from({ length: height * width }, (_, t) =>
        Math.floor(t / width) < size.height && t % width < size.width ? 0 : 1,
      );
    }),
  );
  const ratios = filled.flatMap((sizes) =>
    sizes.flatMap((size, l) => {
      const ratio = [size.width / levels[l]!.width, size.height / levels[l]!.height];
      return [...ratio, ...ratio];
    }),
  );
  const tokens = levels.reduce((sum, { height, width }) => sum + height * width, 0);
  return {
    filled,
    padding: tensor(padding, [valid.length, tokens], { dtype: "bool", backend }),
    ratios: tensor(Float64Array.from(ratios), [valid.length, 1, levels.length, 4], { backend }),
  };
}

/** A reference [B, M, 4 or 2] of each image, in 0–1 of that image, as a share of every level's map [B, M, levels, 4 or 2]. */
export function aroundLevels(reference: Tensor, extents: Extents | undefined): Tensor {
  if (!extents) return reference;
  const { ratios } = extents;
  const numbers = reference.shape.at(-1)!;
  return reference.unsqueeze(2).mul(ratios.slice([null, null, null, { start: 0, end: numbers }]));
}
