import { isAlone } from "../autograd/places.ts";
import { record, recordsGradient } from "../autograd/tape.ts";
import type { Dtype } from "../dtype.ts";
import { type Expr, param, row } from "../kernel/expr.ts";
import type { Stage, Write } from "../kernel/kernel.ts";
import { makeProgram, type Program, readOperand, updateOperand, writeOperand } from "../kernel/program.ts";
import { memo, NumbersMemo } from "../memo.ts";
import { runtime } from "../runtime.ts";
import { broadcastAxes, broadcastShapes, normalizeAxes, type Shape, sameShape, sizeOf } from "../shape.ts";
import type { Tensor, TensorLike } from "../tensor.ts";
import { checkApart, openTargets } from "./inPlace.ts";
import { inputRules, type Takes } from "./inputs.ts";
import { tell } from "./recorder.ts";
import { register, type Trials } from "./registry.ts";
import { empty, launchOver } from "./result.ts";
import {
  type GradientNeed,
  type RowGradient,
  type RowOutput,
  type RowProgram,
  rowGradient,
  storeStages,
} from "./rowGradient.ts";
import { type Signature, type Sorted, sortInputs } from "./signature.ts";
import { sumAll } from "./sumTo.ts";

/** Writes a row op: reductions over the row, then what is stored. */
export interface RowBuilder {
  /** Elements in a row. */
  readonly count: Expr;
  /** Sum of an expression over the row. */
  sum(expr: Expr): Expr;
  /** Largest value over the row; counts as constant in gradients. */
  max(expr: Expr): Expr;
  /** Smallest value over the row; counts as constant in gradients. */
  min(expr: Expr): Expr;
  /** Stores one value per element: the next output, shaped like the broadcast inputs. */
  store(expr: Expr): void;
  /** Stores one value per row: the next output, with size 1 along the reduced axes. */
  storeRow(expr: Expr): void;
  /** Overwrites an input, an element for each row, which no gradient reaches; does nothing where a number stands for it. */
  overwrite(input: Expr, value: Expr): void;
}

interface Variant extends RowProgram {
  /** Of inputs, once per row. */
  readonly overwrites: readonly Write[];
  /** By the gradient that is recorded, whose reductions they also store. */
  readonly forward: Map<RowGradient | undefined, Program>;
  readonly gradients: NumbersMemo<RowGradient>;
}

/** Calls a row op: inputs broadcast to one shape, `axes` are the row. */
export type RowOp = (inputs: readonly TensorLike[], axes: number | readonly number[] | undefined) => Tensor[];

/** What `defineRow` must be told. */
export interface RowOptions extends Trials<RowOp> {
  /** Names and element types of the inputs; any may be given as a number. */
  readonly takes: Takes;
  /** False when the op has no useful derivative. */
  readonly differentiable?: boolean;
}

/**
 * Defines an op that folds and stores along rows: softmax, normalisation, sums. Gradients are
 * derived and fused into one kernel; `max` and `min` reductions count as constants.
 */
export function defineRow<E extends Expr[]>(
  name: string,
  build: (row: RowBuilder, ...inputs: E) => void,
  { takes, cases, refuses, differentiable = true }: RowOptions,
): RowOp {
  const variants = new Map<Signature, Variant>();
  const rules = inputRules(takes, true);
  const op: RowOp = (inputs, axes) => {
    const sorted = sortInputs(name, inputs, rules);
    const { signature, tensors } = sorted;
    const variant = memo(variants, signature, () =>
      makeVariant(name, (builder) => build(builder, ...(signature.leaves as E)), signature),
    );
    const shapes = tensors.map((tensor) => tensor.shape);
    const shape = broadcastShapes(name, shapes);
    const call = { variant, sorted, shape, axes: normalizeAxes(name, axes, shape.length) };
    for (const { operand } of variant.overwrites) {
      checkApart(name, [tensors[operand]!, ...tensors.filter((_, i) => i !== operand)], 1);
      openTargets(name, tensors[operand]!);
    }
    const need = differentiable && recordsGradient(tensors) ? gradientNeed(call) : undefined;
    const gradient = need && gradientFor(call, need);
    const { outputs, rows } = runRow(call, gradient);
    if (runtime.recorder) {
      const numbers = [...sorted.numbers, rowCount(call)];
      tell({ kind: "row", name, inputs: tensors, numbers, axes: call.axes, stages: variant.stages, outputs });
    }
    if (need && gradient) recordRow(call, { need, reads: gradient.reads }, { outputs, rows });
    for (const tensor of rows) tensor?.dispose();
    return outputs;
  };
  register({ name, kind: "row", op, rules, call: (...inputs) => op(inputs, -1), cases, refuses });
  return op;
}

function makeVariant(name: string, build: (builder: RowBuilder) => void, { dtypes, paramDtypes }: Signature): Variant {
  const stages: Stage[] = [];
  const outputs: RowOutput[] = [];
  const element: Write[] = [];
  const perRow: Write[] = [];
  const overwrites: Write[] = [];
  const folds: Dtype[] = [];
  const reduce = (op: "sum" | "max" | "min") => (expr: Expr) => {
    stages.push({ kind: "reduce", op, expr });
    return row(folds.push(expr.dtype) - 1, expr.dtype);
  };
  const store = (writes: Write[], isPerRow: boolean) => (expr: Expr) => {
    writes.push({ operand: dtypes.length + outputs.length, expr });
    outputs.push({ dtype: expr.dtype, perRow: isPerRow });
  };
  build({
    count: param(paramDtypes.length),
    sum: reduce("sum"),
    max: reduce("max"),
    min: reduce("min"),
    store: store(element, false),
    storeRow: store(perRow, true),
    overwrite: (input, expr) => {
      if (input.op === "load") overwrites.push({ operand: input.value, expr });
    },
  });
  stages.push(...storeStages(element, perRow));
  return {
    name,
    stages,
    dtypes,
    paramDtypes,
    outputs,
    folds,
    overwrites,
    forward: new Map(),
    gradients: new NumbersMemo(MOST_GRADIENTS),
  };
}

/** The program that computes the outputs, and stores once per row the reductions that a gradient reads. */
function forwardProgram(variant: Variant, gradient: RowGradient | undefined): Program {
  const { name, stages, dtypes, paramDtypes, outputs, folds, overwrites } = variant;
  const isOverwritten = (operand: number): boolean => overwrites.some((write) => write.operand === operand);
  return memo(variant.forward, gradient, () => {
    const kept = gradient?.rows ?? [];
    const first = dtypes.length + outputs.length;
    const writes = kept.map((k, i) => ({ operand: first + i, expr: row(k, folds[k]) }));
    const written = [...outputs.map(({ dtype }) => dtype), ...kept.map((k) => folds[k]!)];
    return makeProgram(name, {
      operands: [
        ...dtypes.map((dtype, i) => (isOverwritten(i) ? updateOperand : readOperand)(dtype)),
        ...written.map(writeOperand),
      ],
      params: [...paramDtypes, "f32"],
      stages: [...stages, ...storeStages([], [...writes, ...overwrites])],
    });
  });
}

interface RowCall {
  readonly variant: Variant;
  readonly sorted: Sorted;
  readonly shape: Shape;
  readonly axes: readonly number[];
}

/** What a call leaves: its outputs, and the kept ones among the results of its reductions. */
interface RowResults {
  readonly outputs: readonly Tensor[];
  readonly rows: readonly (Tensor | undefined)[];
}

const rowCount = ({ shape, axes }: RowCall): number => sizeOf(axes.map((axis) => shape[axis]!));

function launchRows(call: RowCall, program: Program, tensors: readonly Tensor[]): void {
  const { shape, axes, sorted } = call;
  launchOver(program, { shape, reduced: axes }, { tensors, numbers: [...sorted.numbers, rowCount(call)] });
}

const shapeFor = ({ shape, axes }: RowCall, { perRow }: RowOutput): Shape =>
  perRow ? shape.map((n, axis) => (axes.includes(axis) ? 1 : n)) : shape;

/** A tensor with an element for each of a call's, or for each of its rows. */
const emptyFor = (call: RowCall, output: RowOutput): Tensor =>
  empty(call.sorted.backend, shapeFor(call, output), output.dtype);

function runRow(call: RowCall, gradient: RowGradient | undefined): RowResults & { outputs: Tensor[] } {
  const { variant, sorted } = call;
  const outputs = variant.outputs.map((output) => emptyFor(call, output));
  const rows: Tensor[] = [];
  for (const k of gradient?.rows ?? []) rows[k] = emptyFor(call, { dtype: variant.folds[k]!, perRow: true });
  const kept = rows.filter((tensor) => tensor !== undefined);
  launchRows(call, forwardProgram(variant, gradient), [...sorted.tensors, ...outputs, ...kept]);
  return { outputs, rows };
}

/** What a gradient is wanted of, if gradients of all outputs arrive. */
function gradientNeed({ sorted: { tensors }, variant, shape, axes }: RowCall): GradientNeed {
  return {
    still: tensors.map((tensor) => {
      const repeated = broadcastAxes(tensor.shape, shape);
      return axes.every((axis) => repeated.includes(axis) || shape[axis] === 1);
    }),
    wanted: tensors.map(({ edge, dtype }) => edge !== undefined && dtype === "f32"),
    given: variant.outputs.map(({ dtype }) => dtype === "f32"),
    spare: -1,
  };
}

/** Ways of needing gradients of one op. */
const MOST_GRADIENTS = 64;
const bits = (flags: readonly boolean[]): number => flags.reduce((code, flag) => 2 * code + (flag ? 1 : 0), 0);

const gradientFor = ({ variant }: RowCall, need: GradientNeed): RowGradient =>
  variant.gradients.get([bits(need.still), bits(need.wanted), bits(need.given), need.spare], () =>
    rowGradient(variant, need),
  );

function recordRow(
  call: RowCall,
  { need, reads }: { need: GradientNeed; reads: readonly number[] },
  { outputs, rows }: RowResults,
): void {
  const { tensors } = call.sorted;
  const shapes = tensors.map(({ shape }) => shape);
  const sources = [...tensors, ...outputs, ...rows];
  record(call.variant.name, outputs, {
    inputs: tensors,
    // Sums don't read their inputs: a gradient that needs no values saves none.
    saves: sources.map((tensor, i) => (reads.includes(i) ? tensor : undefined)),
    vjp: ({ grads, into, saved }) => {
      const spare = grads.findIndex((g) => g && isAlone(g) && sameShape(g.shape, call.shape));
      const gradient = gradientFor(call, { ...need, given: grads.map((g) => g !== undefined), spare });
      const results = gradient.results.map((perRow, i) => {
        if (i === gradient.over) return grads[spare]!.alias();
        if (perRow === undefined) return undefined;
        const output = { dtype: "f32", perRow } as const;
        const place = into[i];
        return place && sameShape(place.shape, shapeFor(call, output)) ? place : emptyFor(call, output);
      });
      const own = results.filter((_, i) => i !== gradient.over);
      const given = [...gradient.reads.map((i) => saved[i]), ...grads, ...own];
      launchRows(
        call,
        gradient.program,
        given.filter((tensor) => tensor !== undefined),
      );
      const summed = results.flatMap((x, i) => (x ? [{ x, shape: shapes[i]!, into: into[i] }] : []));
      const sums = sumAll(summed);
      return results.map((result) => result && sums[summed.findIndex(({ x }) => x === result)]);
    },
  });
}
