import { type MatmulAttrs, sizeOf } from "@dfine/tensor";
import {
  type Epilogue,
  type FinishedCall,
  type MatmulProblem,
  type Matrices,
  type Multiplication,
  matmulProblem,
  type Override,
  type View,
} from "@dfine/tensor/kernel";
import type { ProductSizes } from "./product/plan.ts";
import { productVariant, runProduct } from "./product/run.ts";
import type { Lie, Lies, ProductSpec, Side } from "./product/spec.ts";
import type { GpuRuntime } from "./runtime.ts";

/** Two batch axes, `batch_0` entries along the inner one; k in runs of `inner`. */
const SPEC = {
  name: "matmul",
  factors: ["a", "b"],
  code: (first) => `
struct Batch { a: i32, b: i32, c: i32 }
alias Outer = i32;
alias APlace = i32;
alias BPlace = i32;
alias ASpan = i32;
alias BSpan = i32;
fn batch_of(z: i32) -> Batch {
  let z1 = z / u.batch_0;
  let z0 = z - z1 * u.batch_0;
  return Batch(${first.a} + z1 * u.a_batch_1 + z0 * u.a_batch_0, ${first.b} + z1 * u.b_batch_1 + z0 * u.b_batch_0, z * u.c_batch);
}
fn outer_of(outer: i32) -> Outer { return outer; }
fn a_place(batch: Batch, m: i32) -> i32 { return batch.a + m * u.a_row; }
fn b_place(batch: Batch, n: i32) -> i32 { return batch.b + n * u.b_column; }
fn a_span(place: i32, outer: i32) -> i32 { return place + outer * u.a_outer; }
fn b_span(place: i32, outer: i32) -> i32 { return place + outer * u.b_outer; }
fn a_step(inner: i32) -> i32 { return inner * u.a_k; }
fn b_step(inner: i32) -> i32 { return inner * u.b_k; }
fn a_address(span: i32, step: i32) -> i32 { return span + step; }
fn b_address(span: i32, step: i32) -> i32 { return span + step; }
fn c_place(batch: Batch, n: i32) -> i32 { return batch.c + n * u.c_column; }
fn channel_of(batch: Batch, m: i32) -> i32 { return m; }`,
  addressed: ["a", "b"],
  fastest: "inner",
} as const satisfies ProductSpec<"a" | "b">;
/** k of a run, in a product whose k is one. */
const RUN = 256;

/** k in runs, between which parts of it are cut; elements from run to run. */
interface Runs {
  readonly outer: number;
  readonly inner: number;
  readonly a: number;
  readonly b: number;
}

interface Problem extends MatmulProblem {
  readonly runs: Runs;
  /** C is written column by column: rows and columns have changed places. */
  readonly isTransposed: boolean;
}

/** In software, columns of C cost less than rows; with an epilogue, rows are its channels and stay rows. */
function turned({ products }: GpuRuntime, problem: Problem, epilogue?: Epilogue): Problem {
  const { m, n, a, b, runs } = problem;
  if (!products.device.software || epilogue || n >= Math.min(m, 32)) return problem;
  const turn = (x: Matrices): Matrices => ({ ...x, row: x.column, column: x.row });
  return {
    ...{ ...problem, m: n, n: m, a: turn(b), b: turn(a), isTransposed: true },
    runs: { ...runs, a: runs.b, b: runs.a },
  };
}

function problemOf(runtime: GpuRuntime, { a, b, epilogue }: Pick<Multiplication, "a" | "b" | "epilogue">) {
  const problem = matmulProblem(a, b);
  const runs = {
    ...{ outer: Math.ceil(problem.k / RUN), inner: RUN },
    ...{ a: RUN * problem.a.column, b: RUN * problem.b.row },
  };
  return turned(runtime, { ...problem, runs, isTransposed: false }, epilogue);
}

/** Sizes of what one call of the kernel computes. */
const sizesOf = ({ m, n, k, axes, runs: { outer, inner } }: Problem): ProductSizes => ({
  ...{ m, n, k, outer, inner, batch: sizeOf(axes.slice(-2)) },
});

/** How matrices lie, by elements from neighbour to neighbour along k and across it; fours must reach over no end. */
function lieOf(
  { batch }: Matrices,
  steps: {
    readonly along: number;
    readonly across: number;
    readonly run: number;
    readonly k: number;
    readonly size: number;
  },
): Lie {
  const alongK = steps.along === 1;
  const others = [steps.run, ...batch, ...(alongK ? [steps.k, steps.across] : [steps.size, steps.along])];
  return { alongK, inFours: (alongK || steps.across === 1) && others.every((step) => step % 4 === 0) };
}

function liesOf({ m, n, k, a, b, runs }: Problem): Pick<Lies, Side> {
  // A four must end neither in the next run nor behind the last.
  const lengths = runs.outer > 1 && runs.inner % 4 !== 0 ? runs.inner : k;
  return {
    a: lieOf(a, { along: a.column, across: a.row, run: runs.a, k: lengths, size: m }),
    b: lieOf(b, { along: b.row, across: b.column, run: runs.b, k: lengths, size: n }),
  };
}

export const matmulOverride = (runtime: GpuRuntime): Override<MatmulAttrs> => ({
  select: ([a, b]) => {
    const problem = problemOf(runtime, { a: a!, b: b! });
    return productVariant(runtime, {
      ...{ op: SPEC.name, sizes: sizesOf(problem), lies: liesOf(problem), mayPart: true },
    });
  },
  run: ({ inputs: [a, b], outputs: [c], epilogue }: FinishedCall) =>
    multiplyViews(runtime, { a: a!, b: b!, c: c!, epilogue }),
});

export const multiplyViews = (runtime: GpuRuntime, product: Multiplication): void =>
  multiply(runtime, problemOf(runtime, product), product);

/** c [m, n] = Σ a[i] · b[i], of a [I, m, k] and b [I, k, n]: i is summed over as k is. */
export function multiplySummed(runtime: GpuRuntime, { a, b, c }: Multiplication): void {
  const [count, , inner] = a.shape as [number, number, number];
  const first = (view: View): View => ({ ...view, shape: view.shape.slice(1), strides: view.strides.slice(1) });
  const problem = matmulProblem(first(a), first(b));
  const runs = { outer: count, inner, a: a.strides[0]!, b: b.strides[0]! };
  multiply(runtime, turned(runtime, { ...problem, k: count * inner, runs, isTransposed: false }), { c });
}

function multiply(
  runtime: GpuRuntime,
  problem: Problem,
  { c, epilogue }: Pick<Multiplication, "c" | "epilogue">,
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
      ...{ a_outer: problem.runs.a, b_outer: problem.runs.b },
      ...{ a_batch_1: a.batch.at(-2) ?? 0, a_batch_0: a.batch.at(-1) ?? 0, a_row: a.row, a_k: a.column },
      ...{ b_batch_1: b.batch.at(-2) ?? 0, b_batch_0: b.batch.at(-1) ?? 0, b_k: b.row, b_column: b.column },
      ...{ c_batch: m * n, c_column: isTransposed ? m : 1 },
    },
    lies: liesOf(problem),
    cInFours: (isTransposed ? m : n) % 4 === 0,
    mayPart: true,
  });
}
