import { roundUp } from "@dfine/tensor/kernel";
import type { CpuRuntime, WasmKernel } from "../runtime.ts";
import { argWords, divide, namedKernel, smaller } from "./args.ts";
import {
  EPILOGUE_NAMES,
  type Epilogue,
  type EpilogueKind,
  epilogueKind,
  epilogueWords,
  finish,
  kindText,
} from "./epilogue.ts";
import { type PackKind, packColumns } from "./packColumns.ts";
import { steps, withTables } from "./tables.ts";
import {
  addStored,
  forBlocks,
  makeTile,
  multiply,
  rowAddresses,
  storeTile,
  TILE_COLUMNS,
  TOTALS_BYTES,
} from "./tile.ts";

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

/** Rows of a: k adjacent and `pitch` bytes apart, or at table offsets (bytes; addresses of i32 tables). */
export type GemmRows =
  | { readonly kind: "matrix"; readonly pitch: number }
  | { readonly kind: "tables"; readonly rows: number; readonly k: number };

/** Lends rows of a, `pitch` bytes apart, whose values lie at byte offsets `k`, or next to each other. */
export function withRows(
  runtime: CpuRuntime,
  { count, pitch, k }: { count: number; pitch: number; k: readonly number[] | Int32Array | undefined },
  use: (rows: GemmRows) => void,
): void {
  if (k) withTables(runtime, [steps(count, pitch), k], ([rows, at]) => use({ kind: "tables", rows: rows!, k: at! }));
  else use({ kind: "matrix", pitch });
}

/** The words by which a launch says where rows are. */
export const rowWords = (rows: GemmRows) => ({
  aPitch: rows.kind === "matrix" ? rows.pitch : 0,
  rowTable: rows.kind === "tables" ? rows.rows : 0,
  kTable: rows.kind === "tables" ? rows.k : 0,
});

export interface Gemm {
  readonly m: number;
  readonly n: number;
  readonly batches: readonly GemmBatch[];
  readonly segments: readonly GemmSegment[];
  readonly rows: GemmRows;
  /** Bytes from k to k and from column to column of b. */
  readonly bStrides: readonly [number, number];
  /** Bytes from row to row of c; its columns are adjacent. */
  readonly cPitch: number;
  /** Rows of c are its channels. */
  readonly epilogue?: Epilogue | undefined;
}

// Longest stretches of the summed axis whose panels stay in cache; where rows are strided, every value of a row is a
// cache line of its own.
const SEGMENT = 1024;
const STRIDED_SEGMENT = 512;

/** Cuts a summed axis of k into stretches that fit the caches. Steps are bytes from k to k in a and b. */
export function cutSummed(k: number, { aStep, bStep }: { aStep: number; bStep: number }): GemmSegment[] {
  const count = Math.max(1, Math.ceil(k / (aStep === 4 ? SEGMENT : STRIDED_SEGMENT)));
  const length = Math.ceil(k / count);
  return Array.from({ length: count }, (_, i) => ({
    a: i * length * aStep,
    b: i * length * bStep,
    k: Math.min(length, k - i * length),
  }));
}

const ARGS = [
  ...(["batches", "segments", "rowTable", "kTable", "m", "n", "mChunk", "nChunk", "mChunks", "nChunks"] as const),
  ...(["aPitch", "kStride", "columnStride", "cPitch", "panels", "panelBytes"] as const),
  ...EPILOGUE_NAMES,
] as const;
const BATCH_WORDS = 5;
const SEGMENT_WORDS = 3;

/** Units are (batch, column chunk, row chunk): each packs its columns of b, segment by segment, and sweeps its rows over them. */
function gemmKernel(rows: GemmRows["kind"], pack: PackKind, kind: EpilogueKind | undefined): WasmKernel {
  return namedKernel(`gemm/${rows}/${pack}${kindText(kind)}`, ARGS, (f, arg) => {
    const tile = makeTile(f);
    const [unit, rest, nIndex, mIndex, batch] = f.locals("i32", 5);
    const [m0, m1, n0, columns, panels] = f.locals("i32", 5);
    const [segment, lastSegment, source, aStart, kBytes] = f.locals("i32", 5);
    const [column, panel, row, isFirst, isLast] = f.locals("i32", 5);
    const addresses = [f.local("i32"), f.local("i32")] as const;
    const lanes = [f.local("i32"), f.local("i32")] as const;
    const word = (index: number) => f.get(batch).memory("i32.load", index * 4);

    const block = (height: number) => {
      rowAddresses(f, tile, { rows, height, row, start: aStart, pitch: arg.aPitch, table: arg.rowTable });
      word(2)
        .get(row, arg.cPitch)
        .op("i32.mul", "i32.add")
        .get(n0, column)
        .op("i32.add")
        .i32(4)
        .op("i32.mul", "i32.add");
      f.tee(addresses[0]).i32(16).op("i32.add").set(addresses[1]);
      const target = { height, addresses, pitch: arg.cPitch, lanes };
      multiply(f, tile, {
        height,
        kBytes,
        aTable: rows === "tables" ? arg.kTable : undefined,
        columns: { kind: "packed", panel },
      });
      f.get(isFirst)
        .op("i32.eqz")
        .if(() => addStored(f, tile, target));
      if (kind)
        f.get(isLast).if(() => {
          for (let i = 0; i < height; i++)
            finish(f, kind, { arg, channel: row, offset: i, sums: tile.sums.slice(i * 2, i * 2 + 2) });
        });
      storeTile(f, tile, target);
    };

    f.for(unit, { from: f.begin, to: f.end }, () => {
      divide(f, [unit, arg.mChunks], { quotient: rest, remainder: mIndex });
      divide(f, [rest, arg.nChunks], { quotient: batch, remainder: nIndex });
      f.get(arg.batches, batch)
        .i32(BATCH_WORDS * 4)
        .op("i32.mul", "i32.add")
        .set(batch);
      f.get(mIndex, arg.mChunk).op("i32.mul").tee(m0).get(arg.mChunk).op("i32.add").set(m1);
      smaller(f, m1, arg.m).set(m1);
      f.get(nIndex, arg.nChunk).op("i32.mul").set(n0);
      f.get(arg.n, n0).op("i32.sub").set(columns);
      smaller(f, columns, arg.nChunk).set(columns);
      f.get(arg.panels, arg.panelBytes)
        .thread()
        .op("i32.mul", "i32.add")
        .tee(tile.totals)
        .i32(TOTALS_BYTES)
        .op("i32.add");
      f.set(panels);
      word(4).set(lastSegment);
      word(3).set(rest);
      f.for(segment, { from: rest, to: lastSegment }, () => {
        f.get(segment, rest).op("i32.eq").set(isFirst);
        f.get(segment).i32(1).op("i32.add").get(lastSegment).op("i32.eq").set(isLast);
        f.get(arg.segments, segment)
          .i32(SEGMENT_WORDS * 4)
          .op("i32.mul", "i32.add")
          .set(source);
        word(0).get(source).memory("i32.load").op("i32.add").set(aStart);
        f.get(source).memory("i32.load", 8).set(kBytes);
        word(1).get(source).memory("i32.load", 4).op("i32.add").get(n0, arg.columnStride).op("i32.mul", "i32.add");
        f.set(source);
        const { kStride, columnStride } = arg;
        packColumns(f, pack, { source, kStride, columnStride, kBytes, columns, panels });
        f.get(panels).set(panel);
        f.for(column, { from: 0, to: columns, step: TILE_COLUMNS }, () => {
          for (const [j, lane] of lanes.entries()) {
            f.get(columns, column)
              .op("i32.sub")
              .i32(j * 4)
              .op("i32.sub")
              .set(lane);
            f.i32(4).get(lane, lane).i32(4).op("i32.gt_s").select().set(lane);
          }
          forBlocks(f, { row, from: m0, to: m1 }, block);
          f.get(panel, kBytes).i32(TILE_COLUMNS).op("i32.mul", "i32.add").set(panel);
        });
      });
    });
  });
}

// A chunk's packed columns of b fit beside the source in cache; its rows of a share a core's second-level cache with c.
const PANEL_BYTES = 64 * 1024;
const ROWS_BYTES = 512 * 1024;
// Enough units to share out; multiply-adds below which a unit is not worth splitting, and which one chunk should hold.
const UNITS = 16;
const SMALL_UNIT = 1 << 20;
const CHUNK_WORK = 1 << 19;

const longest = (segments: readonly GemmSegment[]): number => segments.reduce((most, { k }) => Math.max(most, k), 0);

interface Chunks {
  readonly mChunk: number;
  readonly nChunk: number;
  readonly mChunks: number;
  readonly nChunks: number;
}

/** How a product is cut into units, from its sizes alone. Packing is repeated per row chunk, so columns are cut first. */
function chunksOf({ m, n, batches, segments }: Gemm): Chunks {
  const k = Math.max(1, longest(segments));
  const depth = segments.reduce((sum, segment) => sum + segment.k, 0);
  let nChunk = Math.min(
    roundUp(n, TILE_COLUMNS),
    Math.max(TILE_COLUMNS, Math.floor(PANEL_BYTES / (32 * k)) * TILE_COLUMNS),
  );
  let mChunk = Math.min(m, Math.max(60, Math.floor(ROWS_BYTES / (4 * k))));
  const count = () => batches.length * Math.ceil(m / mChunk) * Math.ceil(n / nChunk);
  while (count() < UNITS && mChunk * nChunk * depth > SMALL_UNIT) {
    if (nChunk > 64) nChunk = roundUp(nChunk / 2, TILE_COLUMNS);
    else if (mChunk > 80) mChunk = Math.ceil(mChunk / 2);
    else break;
  }
  return { mChunk, nChunk, mChunks: Math.ceil(m / mChunk), nChunks: Math.ceil(n / nChunk) };
}

/** Runs c [m, n] = a [m, K] · b [K, n], then the epilogue, for every batch. Sums run in ascending k whatever the number of threads. */
export function gemm(runtime: CpuRuntime, problem: Gemm): void {
  const { m, n, batches, segments, rows, bStrides, cPitch, epilogue } = problem;
  if (m === 0 || n === 0 || batches.length === 0) return;
  const chunks = chunksOf(problem);
  const { mChunk, nChunk, mChunks, nChunks } = chunks;
  const k = longest(segments);
  const pack = bStrides[1] === 4 ? "rows" : bStrides[0] === 4 ? "columns" : "any";
  const panelBytes = roundUp(nChunk, TILE_COLUMNS) * k * 4 + TOTALS_BYTES;
  const words = batches.length * BATCH_WORDS + segments.length * SEGMENT_WORDS;
  runtime.withScratch(words * 4 + runtime.threads * panelBytes + 64, (scratch) => {
    const table = runtime.heapI32();
    let at = scratch / 4;
    for (const { a, b, c, segments: range } of batches) {
      table.set([a, b, c, ...range], at);
      at += BATCH_WORDS;
    }
    for (const segment of segments) {
      table.set([segment.a, segment.b, segment.k * 4], at);
      at += SEGMENT_WORDS;
    }
    runtime.launch(gemmKernel(rows.kind, pack, epilogueKind(epilogue)), {
      args: argWords(ARGS, {
        batches: scratch,
        segments: scratch + batches.length * BATCH_WORDS * 4,
        ...rowWords(rows),
        m,
        n,
        ...chunks,
        kStride: bStrides[0],
        columnStride: bStrides[1],
        cPitch,
        panels: roundUp(scratch + words * 4, 64),
        panelBytes,
        ...epilogueWords(epilogue),
      }),
      units: batches.length * nChunks * mChunks,
      grain: Math.max(1, Math.floor(CHUNK_WORK / Math.max(1, mChunk * nChunk * k))),
    });
  });
}
