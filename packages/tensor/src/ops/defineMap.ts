import { isAlone } from "../autograd/places.ts";
import { record, recordsGradient } from "../autograd/tape.ts";
import type { Dtype } from "../dtype.ts";
import { differentiate } from "../kernel/differentiate.ts";
import { type Expr, lift, load, loadsIn, rewrite, row } from "../kernel/expr.ts";
import type { Stage } from "../kernel/kernel.ts";
import { makeProgram, mapProgram, type Program, readOperand, updateOperand, writeOperand } from "../kernel/program.ts";
import { memo } from "../memo.ts";
import { runtime } from "../runtime.ts";
import { broadcastAxes, broadcastShapes, type Shape } from "../shape.ts";
import type { Tensor, TensorLike } from "../tensor.ts";
import { type CaseInput, type OpCase, shapesOf } from "./cases.ts";
import { type InputRule, inputRules } from "./inputs.ts";
import { tell } from "./recorder.ts";
import { register } from "./registry.ts";
import { empty, launchOver } from "./result.ts";
import { type Signature, type Sorted, sortInputs } from "./signature.ts";
import { sumTo } from "./sumTo.ts";

type Inputs<E extends readonly Expr[]> = { readonly [K in keyof E]: TensorLike };

/** What `defineMap` may be told. */
export interface MapOptions {
  /** False when the op has no useful derivative (comparisons, rounding): its results never need gradients. */
  readonly differentiable?: boolean;
  /**
   * Per input the values that conformance draws (default −3…3), a number for a scalar argument, or the element type of an
   * input that has one of its own.
   */
  readonly inputs?: readonly (readonly [number, number] | number | Dtype)[];
  /** Element types that the other inputs may have, all alike; default f32. */
  readonly dtypes?: readonly Dtype[];
  /**
   * Inputs that have the result and the derivatives of the real ones, told by the result. Then that is kept for the gradient
   * and not the inputs: a next op often keeps it too.
   */
  readonly recall?: (result: Expr) => readonly (Expr | number)[];
}

interface Variant {
  readonly forward: Program;
  readonly result: Expr;
  /** Derivative of the result with respect to each operand, times the incoming gradient (operand n). */
  readonly derivatives: readonly (Expr | undefined)[];
  /** Operands whose values a derivative reads. */
  readonly reads: ReadonlySet<number>;
  /** Whether it reads the result (operand n + 1) in their place. */
  readonly recalls: boolean;
  /** By a bit for each input, one for sums and one for what is written over the incoming gradient. */
  readonly gradients: Map<number, MapGradient>;
}

interface MapGradient {
  readonly program: Program;
  /** What it reads, counted through inputs, the incoming gradient and the result: its first operands. */
  readonly reads: readonly number[];
  /** Which of its results lies where the incoming gradient does. */
  readonly over: 0 | undefined;
}

/**
 * Defines an elementwise op by one scalar expression of its inputs, which broadcast. Any input may be given as a number.
 * The gradient is derived, and is again one kernel per group of inputs.
 */
export function defineMap<E extends Expr[]>(
  name: string,
  build: (...inputs: E) => Expr,
  options: MapOptions = {},
): (...inputs: Inputs<E>) => Tensor {
  const variants = new Map<Signature, Variant>();
  const { differentiable = true } = options;
  const rules = mapRules(options.inputs?.length ?? build.length, options);
  const op = (...inputs: Inputs<E>): Tensor => {
    const sorted = sortInputs(name, inputs, rules);
    const { signature } = sorted;
    const variant = memo(variants, signature, () =>
      makeVariant(name, build(...(signature.leaves as E)), signature, options),
    );
    const call = { name, variant, sorted };
    const output = runMap(call);
    if (runtime.recorder) {
      const { tensors: inputs, numbers } = sorted;
      tell({ kind: "map", name, inputs, numbers, result: variant.result, outputs: [output] });
    }
    if (differentiable && output.dtype === "f32" && recordsGradient(sorted.tensors)) recordMap(call, output);
    return output;
  };
  const cases = () => mapCases(op as (...inputs: TensorLike[]) => Tensor, rules.length, options);
  register({ name, kind: "map", op, rules, call: op as (...inputs: never[]) => Tensor, cases });
  return op;
}

function mapRules(arity: number, { inputs, dtypes = ["f32"] }: MapOptions): InputRule[] {
  const ownOr = (i: number): readonly Dtype[] => {
    const own = inputs?.[i];
    return typeof own === "string" ? [own] : dtypes;
  };
  return inputRules(Object.fromEntries(Array.from({ length: arity }, (_, i) => [`input ${i + 1}`, ownOr(i)])), true);
}

interface MapCall {
  readonly name: string;
  readonly variant: Variant;
  readonly sorted: Sorted;
}

function runMap({ name, variant, sorted: { backend, tensors, numbers } }: MapCall): Tensor {
  const shapes = tensors.map((tensor) => tensor.shape);
  const shape = broadcastShapes(name, shapes);
  const output = empty(backend, shape, variant.result.dtype);
  launchOver(variant.forward, output, { tensors: [...tensors, output], numbers });
  return output;
}

function makeVariant(
  name: string,
  result: Expr,
  { dtypes, paramDtypes, leaves }: Signature,
  { differentiable = true, recall }: MapOptions,
): Variant {
  const forward = mapProgram(name, { inputs: dtypes, params: paramDtypes, outputs: [result] });
  const adjoints = differentiable && result.dtype === "f32" ? differentiate(result, load(dtypes.length)) : new Map();
  const recalled = recall?.(load(dtypes.length + 1)) ?? leaves;
  const told = new Map(leaves.map((leaf, i) => [leaf, lift(recalled[i]!, leaf)]));
  const derivatives = dtypes.map((dtype, i): Expr | undefined => {
    const derivative = adjoints.get(load(i, dtype));
    return derivative && rewrite(derivative, (e) => told.get(e));
  });
  return {
    forward,
    result,
    derivatives,
    reads: loadsIn(derivatives.filter((e) => e !== undefined)),
    recalls: recall !== undefined,
    gradients: new Map(),
  };
}

function recordMap(call: MapCall, output: Tensor): void {
  const { tensors } = call.sorted;
  const { reads, recalls } = call.variant;
  const shapes = tensors.map((tensor) => tensor.shape);
  record(call.name, [output], {
    inputs: tensors,
    saves: [...tensors.map((tensor, i) => (reads.has(i) ? tensor : undefined)), ...(recalls ? [output] : [])],
    vjp: ({ grads, needs, into, saved }) => {
      const dy = grads[0]!;
      const given = { ...call, saved, dy, into };
      const wanted = shapes.flatMap((_, i) => (needs[i] && call.variant.derivatives[i] ? [i] : []));
      const unbroadcast = wanted.filter((i) => broadcastAxes(shapes[i]!, dy.shape).length === 0);
      const results = new Array<Tensor | undefined>(shapes.length);
      // Of what is only added to, the gradient is the incoming one, without a copy.
      const incoming = load(shapes.length);
      for (const i of unbroadcast) if (call.variant.derivatives[i] === incoming) results[i] = dy;
      const whole = unbroadcast.filter((i) => !results[i]);
      // An input that was not repeated may have the same gradient, as x of x + bias has: that is summed.
      const twinOf = (i: number) =>
        unbroadcast.find((j) => call.variant.derivatives[j] === call.variant.derivatives[i]);
      if (whole.length > 0) {
        const isLast = whole.length === unbroadcast.length && wanted.every((i) => twinOf(i) !== undefined);
        const mayOverwrite = isLast && !into[whole[0]!] && isAlone(dy);
        const gradients = runGradient(given, { wanted: whole, shape: dy.shape, mayOverwrite });
        for (const [k, gradient] of gradients.entries()) results[whole[k]!] = gradient;
      }
      for (const i of wanted) {
        const twin = twinOf(i);
        results[i] ??=
          twin === undefined
            ? runGradient(given, { wanted: [i], shape: shapes[i]! })[0]
            : sumTo(results[twin]!, shapes[i]!, into[i]);
      }
      return results;
    },
  });
}

interface GradientCall extends MapCall {
  /** Inputs where they are read, and the result. */
  readonly saved: readonly (Tensor | undefined)[];
  readonly dy: Tensor;
  readonly into: readonly (Tensor | undefined)[];
}

/** Gradients of the inputs `wanted`, which all have `shape`; summed over the axes along which they were repeated. */
function runGradient(call: GradientCall, { wanted, shape, mayOverwrite = false }: GradientNeed): Tensor[] {
  const { saved, dy, into, sorted, variant } = call;
  const inputs = sorted.tensors.length;
  const reduced = broadcastAxes(shape, dy.shape);
  const how = { isSummed: reduced.length > 0, mayOverwrite };
  const key = wanted.reduce((bits, i) => bits + 2 ** (i + 2), Number(how.isSummed) + 2 * Number(mayOverwrite));
  const { program, reads, over } = memo(variant.gradients, key, () => gradientProgram(call, wanted, how));
  const results = wanted.map((i, k) => (k === over ? dy.alias() : (into[i] ?? empty(dy.backend, shape, "f32"))));
  const read = reads.map((i) => (i === inputs ? dy : saved[Math.min(i, inputs)]!));
  const tensors = [...read, ...results.filter((_, k) => k !== over)];
  launchOver(program, { shape: dy.shape, reduced }, { tensors, numbers: sorted.numbers });
  return results;
}

interface GradientNeed {
  readonly wanted: readonly number[];
  readonly shape: Shape;
  /** Whether the first one may be written over the incoming one. */
  readonly mayOverwrite?: boolean;
}

function gradientProgram(
  { name, variant, sorted }: MapCall,
  wanted: readonly number[],
  { isSummed, mayOverwrite }: { isSummed: boolean; mayOverwrite: boolean },
): MapGradient {
  const { dtypes, paramDtypes } = sorted.signature;
  const incoming = dtypes.length;
  const derivatives = wanted.map((i) => variant.derivatives[i]!);
  const read = loadsIn(derivatives);
  const reads = [...dtypes.keys(), incoming, incoming + 1].filter((i) => read.has(i));
  const over = mayOverwrite && read.has(incoming) ? 0 : undefined;
  const expressions = derivatives.map((derivative) =>
    rewrite(derivative, (e) => (e.op === "load" ? load(reads.indexOf(e.value), e.dtype) : undefined)),
  );
  const written = wanted.filter((_, k) => k !== over);
  const place = (k: number): number =>
    k === over ? reads.indexOf(incoming) : reads.length + written.indexOf(wanted[k]!);
  const stages: Stage[] = isSummed
    ? [
        { kind: "reduce", op: "sum", expr: expressions[0]! },
        { kind: "store", perRow: true, writes: [{ operand: place(0), expr: row(0) }] },
      ]
    : [{ kind: "store", perRow: false, writes: expressions.map((expr, k) => ({ operand: place(k), expr })) }];
  const program = makeProgram(`${name}Backward`, {
    operands: [
      ...reads.map((i) => (i === incoming && over === 0 ? updateOperand : readOperand)(dtypes[i] ?? "f32")),
      ...written.map(() => writeOperand("f32")),
    ],
    params: paramDtypes,
    stages,
  });
  return { program, reads, over };
}

const SHAPES = ["3x5 3x5 3x5", "17 17 17", "4x1x5 3x1 1", "0x4 0x4 1", "65 1 65"].map(shapesOf);

function mapCases(
  op: (...inputs: TensorLike[]) => Tensor,
  arity: number,
  { inputs, dtypes = ["f32"], differentiable = true }: MapOptions,
): OpCase[] {
  return dtypes.flatMap((dtype) =>
    [...SHAPES, [[], [], []]].map((group) => ({
      name: `${dtype} ${JSON.stringify(group.slice(0, arity))}`,
      inputs: Array.from({ length: arity }, (_, i): CaseInput | number => {
        const range = inputs?.[i] ?? [-3, 3];
        if (typeof range === "number") return range;
        const shape = group[i % group.length]!;
        return typeof range === "string" ? { shape, dtype: range } : { shape, dtype, range };
      }),
      run: (...tensors: Tensor[]) => [op(...tensors)],
      differentiable: differentiable && dtype === "f32",
      special: dtype === "f32",
    })),
  );
}
