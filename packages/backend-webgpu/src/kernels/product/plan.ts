import { roundUp } from "@dfine/tensor/kernel";
import type { DirectShape } from "../../swiftshader/direct.ts";
import {
  candidatesOf,
  type ProductDevice,
  type ProductShape,
  shapeName,
  threadsOf,
  tileOf,
  tilesOf,
} from "./shapes.ts";
import type { Lies } from "./spec.ts";
import type { TiledShape } from "./tiled.ts";

export interface ProductSizes {
  readonly m: number;
  readonly n: number;
  readonly outer: number;
  readonly inner: number;
  /** outer · inner, less what the last outer index may lack. */
  readonly k: number;
  readonly batch: number;
}

/** A product as far as its plan depends on it. */
export interface PlannedProduct {
  readonly op: string;
  readonly sizes: ProductSizes;
  readonly lies: Pick<Lies, "a" | "b">;
  /** Whether the result may be the sum of several parts of k. */
  readonly mayPart: boolean;
}

/** How a product is computed. Follows from sizes, the device and what was measured on it before, so results do not vary. */
export interface Plan {
  readonly shape: ProductShape;
  readonly parts: number;
  /** Of k, or of outer indices (direct), per part. */
  readonly partSize: number;
}

/** Elements that partial results may take together. */
const MOST_PARTIALS = 2 ** 22;
/** A part is not shorter than this, or folding costs more than it gains. */
const SHORTEST_PART = 512;
/** Rounding grows with the length of a sum. */
const LONGEST_PART = 8192;

const groupsOf = (shape: ProductShape, { m, n, batch }: Pick<ProductSizes, "m" | "n" | "batch">): number => {
  const [rows, columns] = tileOf(shape);
  return Math.ceil(m / rows) * Math.ceil(n / columns) * batch;
};

const octave = (size: number): number => 2 ** Math.ceil(Math.log2(size));

/** Products of one class are computed alike: the op, and octaves of its sizes and its batch. */
export const classOf = ({ op, sizes: { m, n, k, batch } }: Pick<PlannedProduct, "op" | "sizes">): string =>
  [op, ...[m, n, k, batch].map(octave)].join(" ");

/** Below this, a tile's rows or columns are counted as they are, in steps of the smallest tile; above, by octaves. */
const EXACT = 128;
const STEP = 16;

// Sizes that change a little from step to step should not change the kernel, or each step would compile new ones. So choices
// look at octaves, or at sizes that are as small as a tile.
const rounded = (size: number): number => (size <= EXACT ? roundUp(size, STEP) : octave(size));

/** What loading costs beside a multiplication, where a thread loads once for each. */
const LOADING = 2;
/** Threads of a workgroup of which `busyGroups` keep a GPU busy. */
const USUAL_THREADS = 128;

/** The tile that should take least time: empty places count as work, small tiles load more, and too few threads leave some idle. */
function chooseTiled(device: ProductDevice, { sizes, mayPart }: PlannedProduct, busyGroups: number): TiledShape {
  const whole = { ...sizes, m: rounded(sizes.m), n: rounded(sizes.n) };
  const cost = (shape: TiledShape): number => {
    const groups = groupsOf(shape, whole);
    const [rows, columns] = tileOf(shape);
    const loads = 1 / (4 * shape.quads[0]) + 1 / (4 * shape.quads[1]);
    const filled = (whole.m * whole.n * whole.batch) / (groups * rows * columns);
    const threads = groups * threadsOf(shape) * filled * (mayPart ? mostParts(whole) : 1);
    const busy = Math.min(1, threads / (busyGroups * USUAL_THREADS));
    return (groups * rows * columns * (1 + LOADING * loads)) / busy;
  };
  const tiles = tilesOf(device).filter((tile) => threadsOf(tile) <= device.workgroupThreads);
  return tiles.reduce((best, tile) => (cost(tile) < cost(best) ? tile : best));
}

function chooseDirect({ m, n }: ProductSizes, hasQuads: boolean): DirectShape {
  const rows = m <= 2 ? 2 : m <= 4 ? 4 : m <= 8 || !hasQuads ? 8 : 16;
  const columns = n <= 8 ? 2 : n <= 16 || rows >= 8 ? 4 : 8;
  return { kind: "direct", rows, columns, shares: hasQuads };
}

const mostParts = ({ m, n, k, batch }: ProductSizes): number =>
  Math.max(1, Math.floor(Math.min(k / SHORTEST_PART, MOST_PARTIALS / (m * n * batch))));

/** A plan by rules and, where there is a `choice` of a kernel's name and it can run, by that. */
export function planProduct(
  device: ProductDevice,
  product: PlannedProduct,
  { busyGroups, choice }: { busyGroups: number; choice?: string | undefined },
): Plan {
  const { sizes, mayPart } = product;
  const chosen =
    choice === undefined
      ? undefined
      : candidatesOf(device, product.lies).find((candidate) => shapeName(candidate) === choice);
  const shape =
    chosen ??
    (device.software
      ? chooseDirect(sizes, device.features.has("subgroups"))
      : chooseTiled(device, product, busyGroups));
  const { outer, k } = sizes;
  const wanted = Math.max(busyGroups / groupsOf(shape, sizes), k / LONGEST_PART);
  const aim = mayPart ? Math.max(1, Math.min(Math.ceil(wanted), mostParts(sizes))) : 1;
  const [length, unit] = shape.kind === "direct" ? [outer, 1] : [k, shape.kind === "tiled" ? shape.depth : shape.lanes];
  const partSize = Math.max(1, roundUp(length / aim, unit));
  return { shape, partSize, parts: Math.max(1, Math.ceil(length / partSize)) };
}
