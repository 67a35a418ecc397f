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
import { type GemmRows, rowWords } from "./gemm.ts";
import { outputVectors, placeVector, ROW_NAMES } from "./outputVectors.ts";
import { withTables } from "./tables.ts";
import { forBlocks, makeTile, multiply, rowAddresses, storeTile, TOTALS_BYTES } from "./tile.ts";

const NAMES = [
  ...ROW_NAMES,
  ...(["from", "imageBytes", "tapTable", "kBytes", "totals", "weights", "aPitch", "rowTable", "kTable"] as const),
  ...(["to", "toImage", "toChannel", "channels", "mChunk", "mChunks", "vectors", "chunkVectors", "height"] as const),
  ...EPILOGUE_NAMES,
] as const;

/**
 * Units are (chunk of output vectors, chunk of output channels). A vector is up to four neighbours in an output row; each
 * sum over k reads the padded input at the vector's place plus tapTable[k].
 */
const kernel = (rows: GemmRows["kind"], isDense: boolean, kind: EpilogueKind | undefined): WasmKernel =>
  namedKernel(`convTaps/${rows}/${isDense ? "dense" : "strided"}${kindText(kind)}`, NAMES, (f, arg) => {
    const tile = makeTile(f);
    const [unit, mIndex, vector, lastVector, m0, m1, row] = f.locals("i32", 7);
    const [line, image, x, from, to] = f.locals("i32", 5);
    const vectors = outputVectors(f, 2);
    const sources = [vectors[0]!.source, vectors[1]!.source] as const;
    const lanes = [vectors[0]!.lanes, vectors[1]!.lanes] as const;
    const addresses = [f.local("i32"), f.local("i32")] as const;

    const split = () => {
      divide(f, [line, arg.height], { quotient: image, remainder: line });
      f.get(arg.from, image, arg.imageBytes).op("i32.mul", "i32.add").set(from);
      f.get(arg.to, image, arg.toImage).op("i32.mul", "i32.add").set(to);
    };
    const block = (height: number) => {
      rowAddresses(f, tile, { rows, height, row, start: arg.weights, pitch: arg.aPitch, table: arg.rowTable });
      multiply(f, tile, {
        height,
        kBytes: arg.kBytes,
        aTable: rows === "tables" ? arg.kTable : undefined,
        columns: { kind: "taps", table: arg.tapTable, vectors: sources },
      });
      if (kind)
        for (let i = 0; i < height; i++)
          finish(f, kind, { arg, channel: row, offset: i, sums: tile.sums.slice(i * 2, i * 2 + 2) });
      for (const [j, { place }] of vectors.entries())
        f.get(place, row, arg.toChannel).op("i32.mul", "i32.add").set(addresses[j]!);
      storeTile(f, tile, { height, addresses, pitch: arg.toChannel, lanes, step: isDense ? undefined : arg.toStep });
    };

    f.get(arg.totals).thread().i32(TOTALS_BYTES).op("i32.mul", "i32.add").set(tile.totals);
    f.for(unit, { from: f.begin, to: f.end }, () => {
      divide(f, [unit, arg.mChunks], { quotient: vector, remainder: mIndex });
      f.get(vector, arg.chunkVectors).op("i32.mul").tee(vector).get(arg.chunkVectors).op("i32.add").set(lastVector);
      smaller(f, lastVector, arg.vectors).set(lastVector);
      f.get(mIndex, arg.mChunk).op("i32.mul").tee(m0).get(arg.mChunk).op("i32.add").set(m1);
      smaller(f, m1, arg.channels).set(m1);
      f.for(vector, { from: vector, to: lastVector, step: 2 }, () => {
        for (const [offset, each] of vectors.entries())
          placeVector(f, each, { arg, vector, offset, end: lastVector, spare: sources[0], line, x, from, to, split });
        forBlocks(f, { row, from: m0, to: m1 }, block);
      });
    });
  });

export interface ConvTaps {
  /** Address of the padded images, bytes from image to image and from row to row. */
  readonly from: number;
  readonly imageBytes: number;
  readonly rowBytes: number;
  /** Bytes from an output's place to the value that each k multiplies. */
  readonly taps: readonly number[] | Int32Array;
  /** Address of the weights, and how rows (output channels) and k lie in them. */
  readonly weights: number;
  readonly rows: GemmRows;
  readonly channels: number;
  /** Address of the output, and bytes between images, channels, rows and neighbours in a row. */
  readonly to: number;
  readonly toStrides: readonly [number, number, number, number];
  /** Images, height, width. */
  readonly outputs: readonly [number, number, number];
  readonly epilogue?: Epilogue | undefined;
}

// Rows of weights share a core's second-level cache with the input.
const WEIGHT_BYTES = 512 * 1024;
const CHUNK_WORK = 1 << 19;

/** out[b, m, y, x] = Σ over k of weights[m, k] · padded[b, place(y, x) + taps[k]], in ascending k, then the epilogue. */
export function convTaps(runtime: CpuRuntime, problem: ConvTaps): void {
  const { taps, rows, channels, toStrides, outputs, epilogue } = problem;
  const [images, height, width] = outputs;
  const rowVectors = Math.ceil(width / 4);
  const vectors = images * height * rowVectors;
  if (vectors === 0 || channels === 0) return;
  const k = Math.max(1, taps.length);
  const mChunk = Math.min(channels, Math.max(20, Math.floor(WEIGHT_BYTES / (4 * k))));
  const mChunks = Math.ceil(channels / mChunk);
  const chunkVectors = 2 * Math.max(1, Math.min(Math.ceil(vectors / 2), Math.round(CHUNK_WORK / (8 * mChunk * k))));
  const isDense = toStrides[3] === 4;
  withTables(runtime, [taps, new Int32Array((runtime.threads * TOTALS_BYTES) / 4)], ([tapTable, totals]) =>
    runtime.launch(kernel(rows.kind, isDense, epilogueKind(epilogue)), {
      args: argWords(NAMES, {
        ...problem,
        ...rowWords(rows),
        tapTable: tapTable!,
        totals: totals!,
        kBytes: taps.length * 4,
        toImage: toStrides[0],
        toChannel: toStrides[1],
        toRow: toStrides[2],
        toStep: toStrides[3],
        mChunk,
        mChunks,
        vectors,
        chunkVectors,
        height,
        width,
        rowVectors,
        ...epilogueWords(epilogue),
      }),
      units: Math.ceil(vectors / chunkVectors) * mChunks,
      grain: 1,
    }),
  );
}
