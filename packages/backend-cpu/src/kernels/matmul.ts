import type { MatmulAttrs } from "@dfine/tensor";
import { matmulProblem, type Override } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import { cutSummed, type GemmRows, gemm } from "./gemm.ts";
import { steps, withTables } from "./tables.ts";

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
  run({ inputs, outputs: [c] }) {
    const { m, n, k, axes, a, b } = matmulProblem(inputs[0]!, inputs[1]!);
    const [pa, pb, pc] = [runtime.pointer(a.view), runtime.pointer(b.view), runtime.pointer(c!)];
    const [aOffsets, bOffsets] = [batchOffsets(axes, a.batch), batchOffsets(axes, b.batch)];
    const bStrides = [b.row * BYTES, b.column * BYTES] as const;
    const segments = cutSummed(k, { aStep: a.column * BYTES, bStep: bStrides[0] });
    const multiply = (rows: GemmRows): void =>
      gemm(runtime, {
        m,
        n,
        batches: aOffsets.map((offset, i) => ({
          a: pa + offset * BYTES,
          b: pb + bOffsets[i]! * BYTES,
          c: pc + i * m * n * BYTES,
          segments: [0, segments.length],
        })),
        segments,
        rows,
        bStrides: n === 1 ? [bStrides[0], BYTES] : bStrides,
        cPitch: n * BYTES,
      });
    if (a.column === 1) multiply({ kind: "matrix", pitch: a.row * BYTES });
    else
      withTables(runtime, [steps(m, a.row * BYTES), steps(segments[0]!.k, a.column * BYTES)], ([rows, ks]) =>
        multiply({ kind: "tables", rows: rows!, k: ks! }),
      );
  },
});
