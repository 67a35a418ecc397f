import { type MatmulAttrs, sizeOf } from "@dfine/tensor";
import {
  type MatmulProblem,
  type Matrices,
  type Multiplication,
  matmulProblem,
  type Override,
  type View,
} from "@dfine/tensor/kernel";
import type { Epilogue } from "./epilogue.ts";
import type { ProductSizes } from "./product/plan.ts";
import { productVariant, runProduct } from "./product/run.ts";
import { productSpec } from "./product/spec.ts";
import type { GpuRuntime } from "./runtime.ts";
import type { BufferView } from "./wgslKernel.ts";

/** Two batch axes, `batch_0` entries along the inner one; k in runs of `inner`. */
const SPEC = productSpec({
  name: "matmul",
  factors: ["a", "b"],
  uniforms: {
    batch_0: "i32",
    ...{ a_batch_1: "i32", a_batch_0: "i32", a_row: "i32", a_k: "i32" },
    ...{ b_batch_1: "i32", b_batch_0: "i32", b_k: "i32", b_column: "i32" },
    ...{ c_batch: "i32", c_column: "i32" },
  },
  code: `
struct Batch { a: i32, b: i32, c: i32 }
alias Outer = i32;
alias APlace = i32;
alias BPlace = i32;
fn batch_of(z: i32) -> Batch {
  let z1 = z / u.batch_0;
  let z0 = z - z1 * u.batch_0;
  return Batch(u.o_a + z1 * u.a_batch_1 + z0 * u.a_batch_0, u.o_b + z1 * u.b_batch_1 + z0 * u.b_batch_0, z * u.c_batch);
}
fn outer_of(outer: i32) -> Outer { return outer * u.inner; }
fn a_place(batch: Batch, m: i32) -> i32 { return batch.a + m * u.a_row; }
fn b_place(batch: Batch, n: i32) -> i32 { return batch.b + n * u.b_column; }
fn a_span(place: i32, outer: i32) -> i32 { return place + outer * u.a_k; }
fn b_span(place: i32, outer: i32) -> i32 { return place + outer * u.b_k; }
fn a_step(inner: i32) -> i32 { return inner * u.a_k; }
fn b_step(inner: i32) -> i32 { return inner * u.b_k; }
fn a_value(span: i32, step: i32) -> f32 { return a[span + step]; }
fn b_value(span: i32, step: i32) -> f32 { return b[span + step]; }
fn c_place(batch: Batch, n: i32) -> i32 { return batch.c + n * u.c_column; }
fn channel_of(batch: Batch, m: i32) -> i32 { return m; }`,
  fastest: "inner",
});
/** Parts of k are cut between runs of so many. */
const RUN = 256;

interface Problem extends MatmulProblem {
  /** C is written column by column: rows and columns have changed places. */
  readonly isTransposed: boolean;
}

/** In software, columns of C cost less than rows; with an epilogue, rows are its channels and stay rows. */
function problemOf(a: View, b: View, epilogue?: Epilogue): Problem {
  const problem = matmulProblem(a, b);
  const { m, n } = problem;
  if (epilogue || n >= Math.min(m, 32)) return { ...problem, isTransposed: false };
  const turn = (x: Matrices): Matrices => ({ ...x, row: x.column, column: x.row });
  return { ...problem, m: n, n: m, a: turn(problem.b), b: turn(problem.a), isTransposed: true };
}

/** Sizes of what one call of the kernel computes. */
const sizesOf = ({ m, n, k, axes }: Problem): ProductSizes => ({
  ...{ m, n, k, outer: Math.ceil(k / RUN), inner: RUN, batch: sizeOf(axes.slice(-2)) },
});

export const matmulOverride = (runtime: GpuRuntime): Override<MatmulAttrs> => ({
  select: ([a, b]) => productVariant(runtime, { sizes: sizesOf(problemOf(a!, b!)), mayPart: true }),
  run: ({ inputs: [a, b], outputs: [c] }) => multiplyViews(runtime, { a: a!, b: b!, c: c! }),
});

export function multiplyViews(runtime: GpuRuntime, { c, epilogue, ...factors }: Multiplication<Epilogue>): void {
  const problem = problemOf(factors.a, factors.b, epilogue);
  const { m, n, axes, a, b, isTransposed } = problem;
  const sizes = sizesOf(problem);
  // The kernel knows two batch axes; more become dispatches.
  const leading = axes.slice(0, -2);
  for (let entry = 0; entry < sizeOf(leading); entry++) {
    const start = ({ view: { buffer, offset }, batch }: Matrices): BufferView => ({
      buffer,
      offset: offset + offsetOf(entry, leading, batch),
    });
    runProduct(runtime, SPEC, {
      sizes,
      factors: { a: start(a), b: start(b) },
      c: { buffer: c.buffer, offset: c.offset + entry * sizes.batch * m * n },
      cRow: isTransposed ? 1 : n,
      epilogue,
      uniforms: {
        batch_0: axes.at(-1) ?? 1,
        ...{ a_batch_1: a.batch.at(-2) ?? 0, a_batch_0: a.batch.at(-1) ?? 0, a_row: a.row, a_k: a.column },
        ...{ b_batch_1: b.batch.at(-2) ?? 0, b_batch_0: b.batch.at(-1) ?? 0, b_k: b.row, b_column: b.column },
        ...{ c_batch: m * n, c_column: isTransposed ? m : 1 },
      },
      alongK: { a: a.column === 1, b: b.row === 1 },
      mayPart: true,
    });
  }
}

/** Where an entry of some axes lies that have these strides. */
function offsetOf(entry: number, axes: readonly number[], strides: readonly number[]): number {
  let offset = 0;
  let rest = entry;
  for (const [axis, size] of [...axes.entries()].reverse()) {
    offset += (rest % size) * strides[axis]!;
    rest = Math.floor(rest / size);
  }
  return offset;
}
