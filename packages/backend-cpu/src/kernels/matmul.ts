import type { MatmulAttrs } from "@dfine/tensor";
import {
  type FinishedCall,
  type Matrices,
  type Multiplication,
  matmulProblem,
  type Override,
} from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import { boundEpilogue } from "./epilogue.ts";
import { gemm } from "./gemm.ts";
import { cutSummed, type GemmRows, withRows } from "./gemmProblem.ts";
import { packedSegments, packedWeight } from "./packedWeight.ts";
import { steps } from "./tables.ts";

const BYTES = 4;

/** Offsets in elements of every batch entry, row-major over the axes. */
function batchOffsets(axes: readonly number[], strides: readonly number[]): number[] {
  let offsets = [0];
  axes.forEach((size, axis) => {
    offsets = offsets.flatMap((offset) => Array.from({ length: size }, (_, i) => offset + i * strides[axis]!));
  });
  return offsets;
}

export const matmulOverride = (runtime: CpuRuntime): Override<MatmulAttrs> => ({
  select: () => "gemm",
  run: ({ inputs: [a, b], outputs: [c], epilogue }: FinishedCall<MatmulAttrs>) =>
    multiplyViews(runtime, { a: a!, b: b!, c: c!, epilogue }),
});

// Below, a transposed product is the faster one where a's rows are adjacent: what is packed is then read line after line.
const NARROW = 64;

/** A factor as the tile walks it: along the product's outer axis, and along the summed one. */
interface Factor {
  readonly outer: number;
  readonly summed: number;
  readonly at: readonly number[];
}

export function multiplyViews(runtime: CpuRuntime, { c, epilogue, ...factors }: Multiplication): void {
  const { m, n, k, axes, a, b } = matmulProblem(factors.a, factors.b);
  const addresses = ({ view, batch }: Matrices): number[] => {
    const first = runtime.pointer(view);
    return batchOffsets(axes, batch).map((offset) => first + offset * BYTES);
  };
  const left: Factor = { outer: a.row * BYTES, summed: a.column * BYTES, at: addresses(a) };
  const right: Factor = { outer: b.column * BYTES, summed: b.row * BYTES, at: addresses(b) };
  const isTurned = a.row === 1 && a.column !== 1 && n < Math.min(m, NARROW) && !epilogue;
  const [rows, columns] = isTurned ? [right, left] : [left, right];
  const [height, width] = isTurned ? [n, m] : [m, n];
  const pc = runtime.pointer(c);
  const segments = cutSummed(k, { aStep: rows.summed, bStep: columns.summed });
  const strides = { k: columns.summed, column: columns.outer };
  const isInRuns = columns.outer === BYTES || width === 1;
  const isWeight = !isInRuns && b.batch.every((stride) => stride === 0);
  const panels = isWeight ? packedWeight(runtime, { view: factors.b, n, strides, segments }) : undefined;
  const runs = () => ({
    kind: "runs" as const,
    k: steps(segments[0]!.k, columns.summed),
    length: width,
    pitch: 0,
    to: isTurned ? ([0, n * BYTES] as const) : undefined,
  });
  const product = (from: GemmRows): void =>
    gemm(runtime, {
      m: height,
      n: width,
      batches: rows.at.map((address, i) => ({
        a: address,
        b: panels ?? columns.at[i]!,
        c: pc + i * m * n * BYTES,
        segments: [0, segments.length],
      })),
      segments: panels === undefined ? segments : packedSegments(runtime, { n, segments }),
      rows: from,
      columns: panels !== undefined ? { kind: "packed" } : isInRuns ? runs() : { kind: "strided", ...strides },
      cPitch: isTurned ? BYTES : n * BYTES,
      epilogue: boundEpilogue(runtime, epilogue, c),
    });
  if (rows.summed !== BYTES && rows.outer === BYTES) product({ kind: "adjacent", pitch: rows.summed });
  else {
    const offsets = rows.summed === BYTES ? undefined : steps(segments[0]!.k, rows.summed);
    withRows(runtime, { count: height, pitch: rows.outer, k: offsets }, product);
  }
}
