import type { MatmulAttrs, Override, View } from "@dfine/tensor";
import type { CpuRuntime } from "../runtime.ts";
import { type GemmRows, gemm } from "./gemm.ts";

const BYTES = 4;
// Longest stretches of the summed axis whose panels stay in cache; every value of a strided row is a cache line of its own.
const SEGMENT = 1024;
const STRIDED_SEGMENT = 512;

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

function broadcastBatch(view: View, axes: readonly number[]): number[] {
  const own = view.shape.length - 2;
  return axes.map((size, i) => {
    const axis = i - (axes.length - own);
    return axis < 0 || (view.shape[axis] === 1 && size !== 1) ? 0 : view.strides[axis]!;
  });
}

function matrices(view: View, axes: readonly number[]): Matrices {
  const [rows, rowStride, columnStride] = [view.shape.at(-2)!, view.strides.at(-2)!, view.strides.at(-1)!];
  return { rows, rowStride, columnStride, batch: broadcastBatch(view, axes) };
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
  const rank = Math.max(a.shape.length, b.shape.length) - 2;
  const axes = Array.from({ length: rank }, (_, i) => {
    const [p, q] = [a, b].map((view) => view.shape[i - (rank - (view.shape.length - 2))] ?? 1) as [number, number];
    return p === 1 ? q : p;
  });
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

/** Runs `use` with how a's rows lie: k adjacent, or by tables of offsets. */
function withRows(
  runtime: CpuRuntime,
  { a, m, length }: { a: Matrices; m: number; length: number },
  use: (rows: GemmRows) => void,
): void {
  if (hasAdjacentK(a)) {
    use({ kind: "matrix", pitch: a.rowStride * BYTES });
    return;
  }
  runtime.withScratch((m + length) * BYTES, (scratch) => {
    const words = runtime.heapI32();
    const [rows, ks] = [scratch / BYTES, scratch / BYTES + m];
    for (let i = 0; i < m; i++) words[rows + i] = i * a.rowStride * BYTES;
    for (let i = 0; i < length; i++) words[ks + i] = i * a.columnStride * BYTES;
    use({ kind: "tables", rows: rows * BYTES, k: ks * BYTES });
  });
}

const hasAdjacentK = (a: Matrices): boolean => a.columnStride === 1;

export const matmulOverride = (runtime: CpuRuntime): Override<MatmulAttrs> => ({
  select: () => "gemm",
  run({ inputs: [a, b], outputs: [c] }) {
    const problem = problemOf(a!, b!);
    const { m, n, k, axes } = problem;
    const [pa, pb, pc] = [runtime.pointer(a!), runtime.pointer(b!), runtime.pointer(c!)];
    const [aOffsets, bOffsets] = [batchOffsets(axes, problem.a.batch), batchOffsets(axes, problem.b.batch)];
    const count = Math.max(1, Math.ceil(k / (hasAdjacentK(problem.a) ? SEGMENT : STRIDED_SEGMENT)));
    const length = Math.ceil(k / count);
    const bStrides = [problem.b.rowStride * BYTES, problem.b.columnStride * BYTES] as const;
    withRows(runtime, { a: problem.a, m, length }, (rows) =>
      gemm(runtime, {
        m,
        n,
        batches: aOffsets.map((offset, i) => ({
          a: pa + offset * BYTES,
          b: pb + bOffsets[i]! * BYTES,
          c: pc + i * m * n * BYTES,
          segments: [0, count],
        })),
        segments: Array.from({ length: count }, (_, i) => ({
          a: i * length * problem.a.columnStride * BYTES,
          b: i * length * bStrides[0],
          k: Math.min(length, k - i * length),
        })),
        rows,
        bStrides: n === 1 ? [bStrides[0], BYTES] : bStrides,
        cPitch: n * BYTES,
      }),
    );
  },
});
