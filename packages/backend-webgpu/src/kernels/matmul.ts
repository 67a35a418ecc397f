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
import type { ProductSpec } from "./product/spec.ts";
import type { GpuRuntime } from "./runtime.ts";

/** Two batch axes, `batch_0` entries along the inner one; k in runs of `inner`. */
const SPEC = {
  name: "matmul",
  factors: ["a", "b"],
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
} as const satisfies ProductSpec;
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

export const multiplyViews = (runtime: GpuRuntime, { a, b, c, epilogue }: Multiplication<Epilogue>): void =>
  multiply(runtime, problemOf(a, b, epilogue), { c, epilogue });

function multiply(
  runtime: GpuRuntime,
  problem: Problem,
  { c, epilogue }: Pick<Multiplication<Epilogue>, "c" | "epilogue">,
): void {
  const { m, n, axes, a, b, isTransposed } = problem;
  const sizes = sizesOf(problem);
  if (axes.length > 2) {
    // The kernel knows two batch axes; others become dispatches.
    const inner = axes.slice(1);
    for (let i = 0; i < axes[0]!; i++) {
      const entry = ({ view: { buffer, offset }, batch: [stride, ...batch], ...walk }: Matrices): Matrices => ({
        ...{ view: { buffer, offset: offset + i * stride! }, batch, ...walk },
      });
      const part = { buffer: c.buffer, offset: c.offset + i * sizeOf(inner) * m * n };
      multiply(runtime, { ...problem, axes: inner, a: entry(a), b: entry(b) }, { c: part, epilogue });
    }
    return;
  }
  runProduct(runtime, SPEC, {
    sizes,
    factors: { a: a.view, b: b.view },
    c,
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
