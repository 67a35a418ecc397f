import { add, arange, type Backend, concat, div, type Tensor, tensor, toFloat, zeros } from "@dfine/tensor";
import type { LevelSize } from "../levelCache.ts";
import { type SineOptions, sineFeatures } from "./sine.ts";

/** One level's map. */
export interface Grid {
  readonly size: LevelSize;
  /** What of it each image of the batch fills; undefined: all. */
  readonly filled: readonly LevelSize[] | undefined;
  readonly backend: Backend;
}
type Side = keyof LevelSize;

/** Numbers of the rows or columns of a map, from `start` [1, length]. */
const counted = ({ size, backend }: Grid, side: Side, start: number): Tensor =>
  toFloat(arange(size[side], { backend })).add(start).unsqueeze(0);

/** How many of them each image fills [B or 1, 1]. */
const lengths = ({ size, filled, backend }: Grid, side: Side): Tensor =>
  filled
    ? tensor(
        filled.map((image) => image[side]),
        [filled.length, 1],
        { backend },
      )
    : zeros([1, 1], { backend }).add(size[side]);

/** Numbers of each row [B, H, F] and of each column [B, W, F] for the cells of a map [B, H · W, F]. */
function overCells(rows: Tensor, columns: Tensor): [ofRow: Tensor, ofColumn: Tensor] {
  const [batch, height, features] = rows.shape as [number, number, number];
  const shape = [batch, height, columns.shape[1]!, features];
  return [rows.unsqueeze(2).expand(shape).flatten(1, 2), columns.unsqueeze(1).expand(shape).flatten(1, 2)];
}

/** Centres (x, y) of the cells of a map [B or 1, H · W, 2], as shares of what each image fills: beyond 1 in the padding. */
export function cellCentres(grid: Grid): Tensor {
  const along = (side: Side): Tensor => div(counted(grid, side, 0.5), lengths(grid, side)).unsqueeze(2);
  return concat(overCells(along("height"), along("width")).reverse(), 2);
}

/** What distinguishes the position embeddings of DETRs. */
export interface PositionOptions extends SineOptions {
  /** Added to the numbers of rows and columns, which begin at 1. */
  readonly offset: number;
}

/**
 * Sines and cosines of the row and then of the column of every cell of a map [B or 1, H · W, 2 · features], counted in what
 * each image fills; anything finite in the padding. Carion et al. 2020.
 */
export function sinePositions(grid: Grid, { offset, ...options }: PositionOptions): Tensor {
  const along = (side: Side): Tensor =>
    sineFeatures(div(add(counted(grid, side, 1), offset), lengths(grid, side).add(1e-6)), options);
  return concat(overCells(along("height"), along("width")), 2);
}
