import { roundUp } from "@dfine/tensor/kernel";
import { type DirectShape, directSize } from "../../swiftshader/direct.ts";
import type { GpuRuntime } from "../runtime.ts";
import { type TiledShape, tiledSize } from "./tiled.ts";

export type ProductShape = TiledShape | DirectShape;

export interface ProductSizes {
  readonly m: number;
  readonly n: number;
  readonly outer: number;
  readonly inner: number;
  /** outer · inner, less what the last outer index may lack. */
  readonly k: number;
  readonly batch: number;
}

/** How a product is computed. Follows from sizes and the kind of adapter alone, so results do not vary. */
export interface Plan {
  readonly shape: ProductShape;
  readonly parts: number;
  /** Of k (tiled) or of outer indices (direct), per part. */
  readonly partSize: number;
}

export const tileOf = (shape: ProductShape): [number, number] =>
  shape.kind === "tiled" ? tiledSize(shape) : directSize(shape);

export const shapeName = (shape: ProductShape): string => {
  const [rows, columns] = tileOf(shape);
  return `${shape.kind} ${rows}×${columns}`;
};

/** From large to small. */
const TILED: readonly TiledShape[] = [
  { kind: "tiled", threads: [16, 16], quads: [2, 2], depth: 8 },
  { kind: "tiled", threads: [16, 16], quads: [1, 1], depth: 16 },
  { kind: "tiled", threads: [8, 8], quads: [1, 1], depth: 16 },
];
/** Share of a large tile that rows and columns must fill. */
const FILLED = 0.75;

/** Elements that partial results may take together. */
const MOST_PARTIALS = 2 ** 22;
/** A part is not shorter than this, or folding costs more than it gains. */
const SHORTEST_PART = 512;
/** Rounding grows with the length of a sum. */
const LONGEST_PART = 8192;

const groupsOf = (shape: ProductShape, { m, n, batch }: ProductSizes): number => {
  const [rows, columns] = tileOf(shape);
  return Math.ceil(m / rows) * Math.ceil(n / columns) * batch;
};

// Sizes that change a little from step to step should not change the kernel, or each step would compile new ones. So both
// choices look at powers of two, or at sizes that are as small as a tile.

function chooseTiled(sizes: ProductSizes, busyGroups: number): TiledShape {
  const octave = (size: number): number => 2 ** Math.ceil(Math.log2(size));
  const rounded = { ...sizes, m: octave(sizes.m), n: octave(sizes.n) };
  const fits = (shape: TiledShape): boolean => {
    const [rows, columns] = tileOf(shape);
    return sizes.m >= FILLED * rows && sizes.n >= FILLED * columns && groupsOf(shape, rounded) >= busyGroups;
  };
  return TILED.find(fits) ?? TILED.at(-1)!;
}

function chooseDirect({ m, n }: ProductSizes, hasQuads: boolean): DirectShape {
  const rows = m <= 2 ? 2 : m <= 4 ? 4 : m <= 8 || !hasQuads ? 8 : 16;
  const columns = n <= 8 ? 2 : n <= 16 || rows >= 8 ? 4 : 8;
  return { kind: "direct", rows, columns, shares: hasQuads };
}

/** `mayPart`: whether the result may be the sum of several parts of k. */
export function planProduct(
  { tuning, features }: Pick<GpuRuntime, "tuning" | "features">,
  { sizes, mayPart }: { sizes: ProductSizes; mayPart: boolean },
): Plan {
  const { barriers, busyGroups } = tuning;
  const shape = barriers ? chooseTiled(sizes, busyGroups) : chooseDirect(sizes, features.has("subgroups"));
  const { m, n, outer, k, batch } = sizes;
  const results = m * n * batch;
  const wanted = Math.max(busyGroups / groupsOf(shape, sizes), k / LONGEST_PART);
  const most = Math.min(k / SHORTEST_PART, MOST_PARTIALS / results);
  const aim = mayPart ? Math.max(1, Math.floor(Math.min(Math.ceil(wanted), most))) : 1;
  const [length, unit] = shape.kind === "tiled" ? [k, shape.depth] : [outer, 1];
  const partSize = Math.max(1, roundUp(length / aim, unit));
  return { shape, partSize, parts: Math.max(1, Math.ceil(length / partSize)) };
}
