import { roundUp } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import type { BoundEpilogue } from "./epilogue.ts";
import { steps } from "./tables.ts";
import type { TileShape } from "./tile.ts";

/** One product c = Σ over segments of a · b. Addresses in bytes. */
export interface GemmBatch {
  readonly a: number;
  readonly b: number;
  readonly c: number;
  /** First segment and the one past the last. */
  readonly segments: readonly [number, number];
}

/** A stretch of the summed axis: what is added to a's and b's addresses, and its length. */
export interface GemmSegment {
  readonly a: number;
  readonly b: number;
  readonly k: number;
}

/** Rows of a, `pitch` bytes apart and their k adjacent; or adjacent, and k apart; or at table offsets (bytes; addresses of i32 tables). */
export type GemmRows =
  | { readonly kind: "matrix" | "adjacent"; readonly pitch: number }
  | { readonly kind: "tables"; readonly rows: number; readonly k: number };

/** Lends rows of a, `pitch` bytes apart, whose values lie at byte offsets `k`, or next to each other. */
export function withRows(
  runtime: CpuRuntime,
  { count, pitch, k }: { count: number; pitch: number; k: readonly number[] | Int32Array | undefined },
  use: (rows: GemmRows) => void,
): void {
  if (k) runtime.withTables([steps(count, pitch), k], ([rows, at]) => use({ kind: "tables", rows: rows!, k: at! }));
  else use({ kind: "matrix", pitch });
}

/** The words by which a launch says where rows are. */
export const rowWords = (rows: GemmRows) => ({
  aPitch: rows.kind === "tables" ? 0 : rows.pitch,
  rowTable: rows.kind === "tables" ? rows.rows : 0,
  kTable: rows.kind === "tables" ? rows.k : 0,
});

/** Columns of b: some bytes from k to k and from column to column, or runs of adjacent ones. */
export type GemmColumns =
  /** Panels of the tile's columns, as `packedWeight.ts` makes them. */
  | { readonly kind: "packed" }
  | { readonly kind: "strided"; readonly k: number; readonly column: number }
  | {
      readonly kind: "runs";
      /** Bytes from a column's place to its value for each k of a segment. */
      readonly k: readonly number[] | Int32Array;
      /** Columns of a run, and bytes from run to run. */
      readonly length: number;
      readonly pitch: number;
      /** Bytes from run to run and from neighbour to neighbour of c, where columns of c are not adjacent. */
      readonly to?: readonly [number, number] | undefined;
    };

export interface Gemm {
  readonly m: number;
  readonly n: number;
  readonly batches: readonly GemmBatch[];
  readonly segments: readonly GemmSegment[];
  readonly rows: GemmRows;
  readonly columns: GemmColumns;
  /** Bytes from row to row of c. */
  readonly cPitch: number;
  /** Rows of c are its channels. */
  readonly epilogue?: BoundEpilogue | undefined;
}

/**
 * Longest stretch of the summed axis: values summed in a row before they join the others, as rounding grows with the
 * length of a run, not of the whole sum. Its panels stay in the first-level cache.
 */
export const RUN = 192;

export interface Cut {
  /** Bytes from one to the next in a and b. */
  readonly aStep: number;
  readonly bStep: number;
  /** Values of k that each brings. */
  readonly taps?: number;
}

/** Cuts a summed axis into stretches of at most `RUN` values, if each does not bring more. */
export function cutSummed(size: number, { aStep, bStep, taps = 1 }: Cut): GemmSegment[] {
  const most = Math.max(1, Math.floor(RUN / Math.max(1, taps)));
  const count = Math.max(1, Math.ceil(size / most));
  const length = Math.ceil(size / count);
  return Array.from({ length: count }, (_, i) => ({
    a: i * length * aStep,
    b: i * length * bStep,
    k: Math.min(length, size - i * length) * taps,
  }));
}

/** What a unit of a product holds at most: bytes of packed columns of b, and rows of a; and what is not cut any more. */
interface Limits {
  readonly panelBytes: number;
  readonly rows: number;
  readonly least: { readonly columns: number; readonly rows: number };
}

// Rows share a core's second-level cache with c and the packed columns. The wider and higher a unit is, the less often a and
// b are read from memory and packed.
const PACKED: Limits = { panelBytes: 384 * 1024, rows: 384, least: { columns: 128, rows: 80 } };
const AS_THEY_LIE = { panelBytes: 384 * 1024, rowBytes: 512 * 1024, least: { columns: 64, rows: 80 } };
// Multiply-adds below which a unit is not worth splitting.
const SMALL_UNIT = 1 << 20;
// Of few and large units the last rows are left for the end, so that threads whose cores are not equally free end together. So
// many multiply-adds, and so many rows of a rest, are worth packing columns once more.
const REST = { unit: 1 << 23, part: 0.25, rows: 60 };

/** Bytes between rows from which on so many rows meet in the same places of a cache that they push each other out. */
const ALIASING = { pitch: 4096, rows: 512 };

/** Whether blocks of a's rows are copied before they meet columns of b: rows whose k lie far apart, or that push each other out of the cache. */
export const packsRows = ({ rows, m }: Gemm): boolean =>
  rows.kind === "adjacent" || (rows.kind === "matrix" && rows.pitch % ALIASING.pitch === 0 && m >= ALIASING.rows);

/** The longest of them. */
export const longest = (segments: readonly GemmSegment[]): number =>
  segments.reduce((most, { k }) => Math.max(most, k), 0);

interface Chunks {
  readonly mChunk: number;
  readonly nChunk: number;
  readonly mChunks: number;
  readonly nChunks: number;
  /** Chunks of all batches, and the rows of each in its first unit; the rest of each, if any, is a unit behind the first of all. */
  readonly firsts: number;
  readonly mFirst: number;
}

/** How rows and columns are cut into units, on which no sum depends. Packing is repeated per row chunk, so columns are cut first, unless rows are packed too. */
export function chunksOf(
  problem: Gemm,
  { shape: { columns: width, rows: height }, threads }: { shape: TileShape; threads: number },
): { readonly chunks: Chunks; readonly units: number; readonly work: number } {
  const { m, n, batches, segments } = problem;
  const k = Math.max(1, longest(segments));
  const depth = batches.reduce((most, { segments: [from, to] }) => {
    let sum = 0;
    for (let i = from; i < to; i++) sum += segments[i]!.k;
    return Math.max(most, sum);
  }, 1);
  const isPacked = packsRows(problem);
  const { panelBytes, rows, least } = isPacked
    ? PACKED
    : { ...AS_THEY_LIE, rows: Math.max(60, Math.floor(AS_THEY_LIE.rowBytes / (4 * k))) };
  const most = { columns: Math.max(1, Math.floor(panelBytes / (4 * width * k))) * width, rows: Math.max(1, rows) };
  const cuts = { columns: Math.ceil(n / most.columns), rows: Math.ceil(m / most.rows) };
  const chunk = () => ({
    columns: roundUp(Math.ceil(n / cuts.columns), width),
    rows: Math.min(m, roundUp(Math.ceil(m / cuts.rows), height)),
  });
  const isShared = (units: number) => units >= threads && (units % threads === 0 || units >= 4 * threads);
  while (!isShared(batches.length * cuts.rows * cuts.columns)) {
    const { columns, rows } = chunk();
    if (rows * columns * depth <= SMALL_UNIT) break;
    const canCut = { columns: columns > least.columns, rows: rows > least.rows };
    if (canCut.columns && !(isPacked && canCut.rows)) cuts.columns++;
    else if (canCut.rows) cuts.rows++;
    else break;
  }
  const { columns: nChunk, rows: mChunk } = chunk();
  const [mChunks, nChunks] = [Math.ceil(m / mChunk), Math.ceil(n / nChunk)];
  const [firsts, work] = [batches.length * mChunks * nChunks, mChunk * nChunk * depth];
  const rest = Math.floor(mChunk * REST.part);
  const hasRest = threads > 1 && firsts < 4 * threads && work >= REST.unit && rest >= REST.rows;
  const mFirst = hasRest ? roundUp(mChunk - rest, height) : mChunk;
  return {
    chunks: { mChunk, nChunk, mChunks, nChunks, firsts, mFirst },
    units: hasRest ? 2 * firsts : firsts,
    work,
  };
}
