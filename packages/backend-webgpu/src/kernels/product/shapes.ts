import { type DirectShape, directSize } from "../../swiftshader/direct.ts";
import { type ShuffledShape, shuffledSize } from "./shuffled.ts";
import type { Lies } from "./spec.ts";
import { type Operands, type TiledShape, tiledBytes, tiledSize, tiledThreads } from "./tiled.ts";

/** One kernel for products, as a few parameters. */
export type ProductShape = TiledShape | ShuffledShape | DirectShape;

/** Rows and columns of C that a workgroup computes. */
export function tileOf(shape: ProductShape): [number, number] {
  switch (shape.kind) {
    case "tiled":
      return tiledSize(shape);
    case "shuffled":
      return shuffledSize(shape);
    case "direct":
      return directSize(shape);
    default:
      shape satisfies never;
      throw new Error("unreachable: unknown kind of product");
  }
}

/** Threads of a workgroup. */
export function threadsOf(shape: ProductShape): number {
  return shape.kind === "tiled" ? tiledThreads(shape) : shape.kind === "shuffled" ? shape.threads : 4;
}

/** Names all parameters in which a device's kernels differ. */
export function shapeName(shape: ProductShape): string {
  const [rows, columns] = tileOf(shape);
  const size = `${shape.kind} ${rows}×${columns}`;
  switch (shape.kind) {
    case "tiled": {
      const { depth, slices, operands } = shape;
      const rounded = operands === "f32" ? "" : ` ${operands}`;
      return `${size}×${depth}${slices === 2 ? " twice" : ""} by ${threadsOf(shape)}${rounded}`;
    }
    case "shuffled":
      return `${size} by ${shape.threads}, ${shape.lanes} lanes`;
    case "direct":
      return size;
    default:
      shape satisfies never;
      throw new Error("unreachable: unknown kind of product");
  }
}

/** What a device offers to products. */
export interface ProductDevice {
  /** Products in software: the direct kernels alone. */
  readonly software: boolean;
  readonly features: ReadonlySet<string>;
  /** Most bytes of workgroup memory, and most threads, of a workgroup. */
  readonly workgroupBytes: number;
  readonly workgroupThreads: number;
  /** Threads of the adapter's smallest subgroups. */
  readonly subgroupSize: number;
  readonly operands: Operands;
}

/** Tiles by their size, from large to small; those of equal size by what is chosen where nothing was measured. */
const TILES = (
  [
    { threads: [16, 16], quads: [2, 2], depth: 8 },
    { threads: [16, 16], quads: [2, 1], depth: 16 },
    { threads: [16, 16], quads: [1, 2], depth: 16 },
    { threads: [16, 16], quads: [1, 1], depth: 16 },
    { threads: [8, 8], quads: [2, 2], depth: 8 },
    // For 16 to 32 channels or columns.
    { threads: [8, 16], quads: [1, 2], depth: 16 },
    { threads: [16, 8], quads: [2, 1], depth: 16 },
    { threads: [8, 8], quads: [1, 1], depth: 16 },
    { threads: [4, 16], quads: [1, 1], depth: 16 },
    { threads: [16, 4], quads: [1, 1], depth: 16 },
  ] as const
).map((tile) => ({ kind: "tiled", slices: 1, ...tile }) as const);

const SHUFFLED = [
  { rows: 16, quads: 1, threads: 64 },
  { rows: 8, quads: 2, threads: 64 },
  { rows: 8, quads: 1, threads: 64 },
] as const;

const DIRECT = [2, 4, 8, 16].flatMap((rows) => [2, 4, 8].map((columns) => ({ rows, columns })));
/** Sums that a thread in software keeps at most. */
const MOST_SUMS = 64;

/** Slices of so few k are tried twice as deep too: fewer barriers, where workgroup memory has room. */
const SHALLOW = 8;
/** k that a subgroup hands round at a time, at most: each is written out. */
const MOST_LANES = 8;

/** Tiles that products choose among without measuring: one slice, its usual depth. */
export const tilesOf = ({ operands }: ProductDevice): TiledShape[] => TILES.map((tile) => ({ ...tile, operands }));

/** All kernels that a device can run for products that lie so: what the tuner chooses among. */
export function candidatesOf(device: ProductDevice, lies: Pick<Lies, "a" | "b">): ProductShape[] {
  const { software, features, operands, workgroupBytes, workgroupThreads, subgroupSize } = device;
  const hasSubgroups = features.has("subgroups");
  if (software)
    return DIRECT.filter(({ rows, columns }) => rows * columns <= MOST_SUMS).map((one) => ({
      ...{ kind: "direct", shares: hasSubgroups, ...one },
    }));
  const tiled = tilesOf(device).flatMap((tile) => [
    tile,
    { ...tile, slices: 2 as const },
    ...(tile.depth === SHALLOW ? [{ ...tile, depth: 2 * SHALLOW }] : []),
  ]);
  const lanes = Math.min(MOST_LANES, subgroupSize);
  const mayShuffle = hasSubgroups && operands === "f32" && lanes > 1 && !lies.b.alongK;
  return [
    ...tiled.filter((tile) => tiledBytes(tile, lies) <= workgroupBytes && threadsOf(tile) <= workgroupThreads),
    ...(mayShuffle ? SHUFFLED.map((one) => ({ kind: "shuffled", lanes, ...one }) as const) : []),
  ];
}

/** What of a product's memory a kernel makes use of. */
export function liesFor({ kind }: ProductShape, lies: Lies): Lies {
  const singly = { a: { ...lies.a, inFours: false }, b: { ...lies.b, inFours: false } };
  switch (kind) {
    case "tiled":
      return lies;
    // Each thread loads another k.
    case "shuffled":
      return { ...lies, a: lies.a.alongK ? singly.a : lies.a };
    case "direct":
      return { ...singly, c: "singly" };
    default:
      kind satisfies never;
      throw new Error("unreachable: unknown kind of product");
  }
}
