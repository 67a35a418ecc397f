import { broadcastShapes, broadcastStrides, type MatmulAttrs } from "@dfine/tensor";
import type { Override, View } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import { cutSummed, type GemmRows, gemm } from "./gemm.ts";
import { steps, withTables } from "./tables.ts";

const BYTES = 4;

/** A batch of matrices: strides in elements, the batch's along `axes`. */
interface Matrices {
  readonly rows: number;
  readonly rowStride: number;
  readonly columnStride: number;
  readonly batch: readonly number[];
}

interface Problem {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly axes: readonly number[];
  readonly a: Matrices;
  readonly b: Matrices;
}

const batchShape = (view: View): readonly number[] => view.shape.slice(0, -2);

function matrices(view: View, axes: readonly number[]): Matrices {
  const [rows, rowStride, columnStride] = [view.shape.at(-2)!, view.strides.at(-2)!, view.strides.at(-1)!];
  const batch = broadcastStrides(batchShape(view), view.strides.slice(0, -2), axes);
  return { rows, rowStride, columnStride, batch };
}

/** Turns batch axes that share b, and along which a's rows go on evenly, into more rows of a. */
function foldBatch(problem: Problem): Problem {
  const { axes, a, b } = problem;
  const size = axes.at(-1);
  if (size === undefined) return problem;
  const inner = { a: a.batch.at(-1)!, b: b.batch.at(-1)! };
  const dropped = { axes: axes.slice(0, -1), a: { ...a, batch: a.batch.slice(0, -1) } };
  const rest = { ...problem, ...dropped, b: { ...b, batch: b.batch.slice(0, -1) } };
  if (size === 1) return foldBatch(rest);
  if (inner.b !== 0 || (a.rows > 1 && inner.a !== a.rowStride * a.rows)) return problem;
  const rowStride = a.rows > 1 ? a.rowStride : inner.a;
  return foldBatch({ ...rest, m: problem.m * size, a: { ...dropped.a, rows: a.rows * size, rowStride } });
}

function problemOf(a: View, b: View): Problem {
  const axes = broadcastShapes("matmul", [batchShape(a), batchShape(b)]);
  const [m, k, n] = [a.shape.at(-2)!, a.shape.at(-1)!, b.shape.at(-1)!];
  return foldBatch({ m, k, n, axes, a: matrices(a, axes), b: matrices(b, axes) });
}

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
  run({ inputs: [a, b], outputs: [c] }) {
    const problem = problemOf(a!, b!);
    const { m, n, k, axes } = problem;
    const [pa, pb, pc] = [runtime.pointer(a!), runtime.pointer(b!), runtime.pointer(c!)];
    const [aOffsets, bOffsets] = [batchOffsets(axes, problem.a.batch), batchOffsets(axes, problem.b.batch)];
    const { rowStride, columnStride } = problem.a;
    const bStrides = [problem.b.rowStride * BYTES, problem.b.columnStride * BYTES] as const;
    const segments = cutSummed(k, { aStep: columnStride * BYTES, bStep: bStrides[0] });
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
    if (columnStride === 1) multiply({ kind: "matrix", pitch: rowStride * BYTES });
    else
      withTables(runtime, [steps(m, rowStride * BYTES), steps(segments[0]!.k, columnStride * BYTES)], ([rows, ks]) =>
        multiply({ kind: "tables", rows: rows!, k: ks! }),
      );
  },
});
