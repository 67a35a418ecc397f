import type { MatmulAttrs } from "@dfine/tensor";
import { type Multiplication, matmulProblem, type Override } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import type { Epilogue } from "./epilogue.ts";
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
  run: ({ inputs: [a, b], outputs: [c] }) => multiplyViews(runtime, { a: a!, b: b!, c: c! }),
});

export function multiplyViews(runtime: CpuRuntime, { c, epilogue, ...factors }: Multiplication<Epilogue>): void {
  const { m, n, k, axes, a, b } = matmulProblem(factors.a, factors.b);
  const [pa, pb, pc] = [runtime.pointer(a.view), runtime.pointer(b.view), runtime.pointer(c)];
  const [aOffsets, bOffsets] = [batchOffsets(axes, a.batch), batchOffsets(axes, b.batch)];
  const segments = cutSummed(k, { aStep: a.column * BYTES, bStep: b.row * BYTES });
  const strides = { k: b.row * BYTES, column: b.column * BYTES };
  const isInRuns = b.column === 1 || n === 1;
  const isWeight = !isInRuns && b.batch.every((stride) => stride === 0);
  const panels = isWeight ? packedWeight(runtime, { view: factors.b, n, strides, segments }) : undefined;
  const product = (rows: GemmRows): void =>
    gemm(runtime, {
      m,
      n,
      batches: aOffsets.map((offset, i) => ({
        a: pa + offset * BYTES,
        b: panels ?? pb + bOffsets[i]! * BYTES,
        c: pc + i * m * n * BYTES,
        segments: [0, segments.length],
      })),
      segments: panels === undefined ? segments : packedSegments(runtime, { n, segments }),
      rows,
      columns:
        panels !== undefined
          ? { kind: "packed" }
          : isInRuns
            ? { kind: "runs", k: steps(segments[0]!.k, b.row * BYTES), length: n, pitch: 0 }
            : { kind: "strided", ...strides },
      cPitch: n * BYTES,
      epilogue,
    });
  const [pitch, kStep] = [a.row * BYTES, a.column * BYTES];
  if (a.column !== 1 && a.row === 1) product({ kind: "adjacent", pitch: kStep });
  else withRows(runtime, { count: m, pitch, k: a.column === 1 ? undefined : steps(segments[0]!.k, kStep) }, product);
}
