import type { Backend, Dtype, TypedArray } from "@dfine/tensor";
import {
  type Binding,
  constant,
  type Expr,
  expressionText,
  type Kernel,
  load,
  type Operand,
  row,
  type Stage,
  stageExpressions,
  type Walk,
} from "@dfine/tensor/kernel";
import fc from "fast-check";

/** Test helper: a kernel, its launch and the contents of all its buffers, for any backend. */
export interface Trial {
  readonly kernel: Kernel;
  readonly sizes: readonly number[];
  readonly operands: readonly TrialOperand[];
  readonly params: readonly number[];
}
export interface TrialOperand {
  readonly dtype: Dtype;
  readonly mode: Operand["mode"];
  readonly indexed: boolean;
  readonly strides: readonly number[];
  readonly offset: number;
  readonly length: number;
  /** The whole buffer: elements, gaps between them, and margins that no kernel may touch. */
  readonly data: readonly number[];
}

/** Axes of an operand in memory: which move, in what order, how far apart, which backwards. */
export interface LayoutChoice {
  readonly order: number;
  readonly gaps: readonly number[];
  readonly flips: readonly boolean[];
  readonly still: readonly boolean[];
  readonly seed: number;
}
export const layoutChoice: fc.Arbitrary<LayoutChoice> = fc.record({
  order: fc.nat(23),
  gaps: fc.array(fc.constantFrom(0, 0, 0, 1, 3), { minLength: 5, maxLength: 5 }),
  flips: fc.array(fc.constantFrom(false, false, false, true), { minLength: 5, maxLength: 5 }),
  still: fc.array(fc.constantFrom(false, false, true), { minLength: 5, maxLength: 5 }),
  seed: fc.nat(),
});

const MARGIN = 20;

/** A permutation of 0…n−1 by number. */
function permutation(n: number, order: number): number[] {
  const left = Array.from({ length: n }, (_, i) => i);
  const result: number[] = [];
  for (let k = order; left.length > 0; k = Math.floor(k / 4)) result.push(left.splice(k % left.length, 1)[0]!);
  return result;
}

export function fill(seed: number, length: number, dtype: Dtype): number[] {
  let state = (seed | 1) >>> 0;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const value = {
    f32: () => Math.fround(next() * 6 - 3),
    i32: () => Math.floor(next() * 200) - 100,
    bool: () => Math.floor(next() * 2),
  };
  return Array.from({ length }, value[dtype]);
}

/** Lays an operand out over `axes` (those it must move along; the rest stand still). */
export function layOut(
  {
    dtype,
    mode,
    sizes,
    axes,
  }: { dtype: Dtype; mode: Operand["mode"]; sizes: readonly number[]; axes: readonly number[] },
  choice: LayoutChoice,
): TrialOperand {
  const strides = sizes.map(() => 0);
  let step = 1;
  let offset = MARGIN;
  const order = permutation(axes.length, choice.order).map((i) => axes[i]!);
  for (const axis of order) {
    const size = sizes[axis]!;
    if (size === 1) continue;
    strides[axis] = choice.flips[axis] ? -step : step;
    if (choice.flips[axis]) offset += step * Math.max(0, size - 1);
    step *= size + choice.gaps[axis]!;
  }
  const length = Math.max(step, 1);
  const data = fill(choice.seed, length + 2 * MARGIN, dtype);
  return { dtype, mode, indexed: false, strides, offset, length: length + MARGIN, data };
}

export function kernelOf(
  kinds: readonly ("map" | "reduce")[],
  operands: readonly TrialOperand[],
  { stages, params = [] }: { stages: readonly Stage[]; params?: readonly Dtype[] },
): Kernel {
  const described = operands.map(({ dtype, mode, indexed, strides }): Operand => {
    const walk = strides.map((stride): Walk => (indexed || stride === 0 ? "still" : stride === 1 ? "unit" : "stride"));
    return { dtype, mode, indexed, walk };
  });
  const shapeOfStages = stages.map((stage) =>
    stage.kind === "store"
      ? `store ${stage.perRow} ${stage.writes.map((w) => `${w.operand}${w.index ? "+" : ""}`)}`
      : stage.op,
  );
  const key = JSON.stringify([
    kinds,
    described,
    params,
    shapeOfStages,
    expressionText(stages.flatMap(stageExpressions)),
  ]);
  return { name: "trial", key, axes: kinds, operands: described, params, stages };
}

/** Runs a trial and gives back every buffer whole. */
export async function runTrial(backend: Backend, { kernel, sizes, operands, params }: Trial): Promise<TypedArray[]> {
  const bindings = operands.map(({ dtype, data, offset, strides, length }): Binding => {
    const buffer = backend.alloc(data.length, dtype);
    backend.write(
      { buffer, offset: 0, length: data.length },
      dtype === "f32" ? Float64Array.from(data) : Int32Array.from(data),
    );
    return { buffer, offset, strides, length };
  });
  backend.run(kernel, { sizes, operands: bindings, params });
  const results = await backend.read(bindings.map(({ buffer }) => ({ buffer, offset: 0, length: buffer.length })));
  for (const { buffer } of bindings) backend.free(buffer);
  return results;
}

/**
 * Stages over reads 0 and 1, write 2 (per element) and write 3 (per row): all ways in which stages feed each other. What
 * is divided by is a sum of positive numbers: where a sum cancels, no bound holds for what is divided by it.
 */
export const PROGRAMS: Readonly<Record<string, readonly Stage[]>> = {
  map: [element(load(0).mul(2).add(load(1)).max(load(0)))],
  sum: [fold("sum", load(0).mul(load(1))), perRow(row(0).add(1))],
  extrema: [fold("max", load(0).add(load(1))), fold("min", load(1)), perRow(row(0).sub(row(1)))],
  softmax: [
    fold("max", load(0)),
    fold("sum", load(0).sub(row(0)).exp()),
    element(load(0).sub(row(0)).exp().div(row(1)).add(load(1).mul(1e-3))),
    perRow(row(1).log().add(row(0))),
  ],
  normalize: [
    fold("sum", load(0)),
    fold("sum", squareOf(load(0).sub(row(0).mul(0.01))).mul(load(1).abs())),
    element(load(0).sub(row(0)).mul(load(1).abs().add(0.5)).div(row(1).add(1))),
  ],
  count: [
    fold("sum", load(0).lt(load(1)).select(constant(1, "i32"), 0)),
    fold("max", load(0).lt(0).cast("i32")),
    perRow(row(0, "i32").mul(2).add(row(1, "i32")).cast("f32")),
  ],
};

function element(expr: Expr): Stage {
  return { kind: "store", perRow: false, writes: [{ operand: 2, expr }] };
}
function squareOf(expr: Expr): Expr {
  return expr.mul(expr);
}
function perRow(expr: Expr): Stage {
  return { kind: "store", perRow: true, writes: [{ operand: 3, expr }] };
}
function fold(op: "sum" | "max" | "min", expr: Expr): Stage {
  return { kind: "reduce", op, expr };
}
