import { record, recordsGradient } from "../autograd/tape.ts";
import type { Dtype } from "../dtype.ts";
import { differentiateStages } from "../kernel/differentiate.ts";
import { type Expr, load, loadsIn, param, postorder, rewrite, row } from "../kernel/expr.ts";
import { type Stage, stageExpressions, type Write } from "../kernel/kernel.ts";
import { makeProgram, type Program, readOperand, writeOperand } from "../kernel/program.ts";
import { memo, NumbersMemo } from "../memo.ts";
import { broadcastAxes, broadcastShapes, normalizeAxes, type Shape, sizeOf } from "../shape.ts";
import type { Tensor, TensorLike } from "../tensor.ts";
import { inputRules, type Takes } from "./inputs.ts";
import { register, type Trials } from "./registry.ts";
import { empty, launchOver } from "./result.ts";
import { type Signature, type Sorted, sortInputs } from "./signature.ts";
import { sumTo } from "./sumTo.ts";

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
}

interface Variant {
  readonly stages: readonly Stage[];
  readonly forward: Program;
  readonly outputs: readonly { readonly dtype: Dtype; readonly perRow: boolean }[];
  readonly gradients: NumbersMemo<RowGradient>;
}

interface RowGradient {
  readonly program: Program;
  /** Operands whose values it reads. */
  readonly reads: ReadonlySet<number>;
  /** One per wanted input; undefined when no gradient reaches it. */
  readonly results: readonly ({ readonly perRow: boolean } | undefined)[];
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
    const call = { name, variant, sorted, shape, axes: normalizeAxes(name, axes, shape.length) };
    const outputs = runRow(call);
    if (differentiable && recordsGradient(tensors)) recordRow(call, outputs);
    return outputs;
  };
  register({ name, kind: "row", op, rules, call: (...inputs) => op(inputs, -1), cases, refuses });
  return op;
}

function makeVariant(name: string, build: (builder: RowBuilder) => void, { dtypes, paramDtypes }: Signature): Variant {
  const stages: Stage[] = [];
  const outputs: { dtype: Dtype; perRow: boolean }[] = [];
  const element: Write[] = [];
  const perRow: Write[] = [];
  let reduces = 0;
  const reduce = (op: "sum" | "max" | "min") => (expr: Expr) => {
    stages.push({ kind: "reduce", op, expr });
    return row(reduces++, expr.dtype);
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
  });
  stages.push(...stores(element, perRow));
  const operands = [...dtypes.map(readOperand), ...outputs.map((output) => writeOperand(output.dtype))];
  const forward = makeProgram(name, { operands, params: [...paramDtypes, "f32"], stages });
  return { stages, forward, outputs, gradients: new NumbersMemo(MOST_GRADIENTS) };
}

function stores(element: readonly Write[], perRow: readonly Write[]): Stage[] {
  const once = { kind: "store", perRow: true, writes: perRow } as const;
  const each = { kind: "store", perRow: false, writes: element } as const;
  return [once, each].filter(({ writes }) => writes.length > 0);
}

interface RowCall {
  readonly name: string;
  readonly variant: Variant;
  readonly sorted: Sorted;
  readonly shape: Shape;
  readonly axes: readonly number[];
}

const rowShape = ({ shape, axes }: RowCall): Shape => shape.map((n, axis) => (axes.includes(axis) ? 1 : n));

function launchRows({ shape, axes, sorted }: RowCall, program: Program, tensors: readonly Tensor[]): void {
  const count = sizeOf(axes.map((axis) => shape[axis]!));
  launchOver(program, { shape, reduced: axes }, { tensors, numbers: [...sorted.numbers, count] });
}

function runRow(call: RowCall): Tensor[] {
  const { backend, tensors } = call.sorted;
  const outputs = call.variant.outputs.map(({ dtype, perRow }) =>
    empty(backend, perRow ? rowShape(call) : call.shape, dtype),
  );
  launchRows(call, call.variant.forward, [...tensors, ...outputs]);
  return outputs;
}

function recordRow(call: RowCall, outputs: readonly Tensor[]): void {
  const { tensors } = call.sorted;
  const shapes = tensors.map((tensor) => tensor.shape);
  const still = shapes.map((shape) => {
    const repeated = broadcastAxes(shape, call.shape);
    return call.axes.every((axis) => repeated.includes(axis) || call.shape[axis] === 1);
  });
  // Sums don't read their inputs: a gradient that needs no values saves none.
  const reads = gradientFor(call, {
    still,
    wanted: shapes.map(() => true),
    given: outputs.map((o) => o.dtype === "f32"),
  }).reads;
  record(call.name, outputs, {
    inputs: tensors,
    saves: tensors.map((tensor, i) => (reads.has(i) ? tensor : undefined)),
    vjp: ({ grads, needs, saved }) => {
      const given = grads.map((g) => g !== undefined);
      const wanted = tensors.map(({ dtype }, i) => needs[i] === true && dtype === "f32");
      const gradient = gradientFor(call, { still, wanted, given });
      const dys = grads.filter((g) => g !== undefined);
      const [stand] = dys as [Tensor];
      const results = gradient.results.map(
        (result) => result && empty(stand.backend, result.perRow ? rowShape(call) : call.shape, "f32"),
      );
      const written = results.filter((result) => result !== undefined);
      launchRows(call, gradient.program, [...saved.map((tensor) => tensor ?? stand), ...dys, ...written]);
      return results.map((result, i) => result && sumTo(result, shapes[i]!));
    },
  });
}

interface GradientNeed {
  /** Inputs that stand still along the row. */
  readonly still: readonly boolean[];
  readonly wanted: readonly boolean[];
  /** Outputs with an incoming gradient. */
  readonly given: readonly boolean[];
}

/** Ways of needing gradients of one op. */
const MOST_GRADIENTS = 64;
const bits = (flags: readonly boolean[]): number => flags.reduce((code, flag) => 2 * code + (flag ? 1 : 0), 0);

const gradientFor = (call: RowCall, need: GradientNeed): RowGradient =>
  call.variant.gradients.get([bits(need.still), bits(need.wanted), bits(need.given)], () => makeGradient(call, need));

function makeGradient(
  { name, variant, sorted: { signature } }: RowCall,
  { still, wanted, given }: GradientNeed,
): RowGradient {
  const { dtypes, paramDtypes } = signature;
  const n = dtypes.length;
  let next = n;
  const seeds = given.map((isGiven) => (isGiven ? load(next++) : undefined));
  const derived = differentiateStages(variant.stages, (operand) => seeds[operand - n]);
  const element: Write[] = [];
  const perRow: Write[] = [];
  const results = dtypes.map((dtype, i) => {
    const leaf = load(i, dtype);
    const expr = wanted[i] && dtype === "f32" ? (still[i] ? derived.perRow(leaf) : derived.element(leaf)) : undefined;
    if (!expr) return undefined;
    (still[i] ? perRow : element).push({ operand: next++, expr });
    return { perRow: still[i]! };
  });
  const needed = liveStages([...derived.reduces, ...stores(element, perRow)]);
  const reads = loadsIn(needed.flatMap(stageExpressions));
  const operands = [
    ...dtypes.map((dtype, i) => readOperand(reads.has(i) ? dtype : "f32")),
    ...seeds.flatMap((seed) => (seed ? [readOperand("f32")] : [])),
    ...results.flatMap((result) => (result ? [writeOperand("f32")] : [])),
  ];
  const program = makeProgram(`${name}Backward`, { operands, params: [...paramDtypes, "f32"], stages: needed });
  return { program, reads, results };
}

/** Drops reductions that nothing reads, and numbers the rest anew. */
function liveStages(stages: readonly Stage[]): Stage[] {
  const reduces = stages.filter((stage) => stage.kind === "reduce");
  const live = new Set<number>();
  const visit = (roots: readonly Expr[]): void => {
    for (const e of postorder(roots)) {
      if (e.op !== "row" || live.has(e.value)) continue;
      live.add(e.value);
      visit([reduces[e.value]!.expr]);
    }
  };
  for (const stage of stages) if (stage.kind !== "reduce") visit(stageExpressions(stage));
  const position = new Map([...live].sort((a, b) => a - b).map((old, i) => [old, i]));
  const renumber = (root: Expr): Expr =>
    rewrite(root, (e) => (e.op === "row" ? row(position.get(e.value)!, e.dtype) : undefined));
  return stages.flatMap((stage): Stage[] => {
    if (stage.kind === "reduce")
      return live.has(reduces.indexOf(stage)) ? [{ ...stage, expr: renumber(stage.expr) }] : [];
    return [{ ...stage, writes: stage.writes.map((write) => ({ ...write, expr: renumber(write.expr) })) }];
  });
}
