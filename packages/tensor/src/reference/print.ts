import type { Dtype } from "../dtype.ts";
import { type Expr, leafName, postorder, ruleFor } from "../kernel/expr.ts";
import type { OperationTable } from "../kernel/exprOps.ts";
import { foldPlan } from "../kernel/folds.ts";
import {
  axesOf,
  type Kernel,
  type ReduceStage,
  type Stage,
  type StoreStage,
  stageExpressions,
} from "../kernel/kernel.ts";

/**
 * Prints a kernel as the body of a JavaScript function of (launch, arrays, lib). This is
 * what a kernel means. With `round`, every f32 result is rounded to float32; reductions accumulate in float64.
 */
export function printKernel(kernel: Kernel, round: boolean): string {
  const printer = new Printer(kernel, round);
  const starts = kernel.operands.map((_, k) => `o${k}`);
  const axes = axesOf(kernel, "map");
  const [fold, store, ...more] = kernel.stages;
  const last = axes.at(-1);
  const isFold = fold?.kind === "reduce" && store?.kind === "store" && store.perRow && more.length === 0;
  const body =
    isFold && last !== undefined && !readsAxis(kernel, last)
      ? printer.loops(axes.slice(0, -1), starts, (pointers) => printer.rows(last, { fold, store, pointers }))
      : printer.loops(axes, starts, (pointers) => printer.stages(pointers));
  return [...printer.header(), ...body].join("\n");
}

const readsAxis = ({ stages }: Kernel, axis: number): boolean =>
  postorder(stages.flatMap(stageExpressions)).some(({ op, value }) => op === "axis" && value === axis);

/**
 * Rows of sums, as of a product, that are folded beside each other, each in its own order: what they share is loaded once,
 * neighbours lie in one line of the cache, and no addition waits for the one before.
 */
const BESIDE = 8;

/** Pointer variable of each operand at some loop depth. */
type Pointers = readonly string[];

class Printer {
  readonly #kernel: Kernel;
  readonly #round: boolean;
  readonly #reduceAxes: readonly number[];

  constructor(kernel: Kernel, round: boolean) {
    this.#kernel = kernel;
    this.#round = round;
    this.#reduceAxes = axesOf(kernel, "reduce");
  }

  header(): string[] {
    const { operands, axes, params } = this.#kernel;
    return [
      "const { sizes, operands, params } = launch;",
      ...axes.map((_, axis) => `const n${axis} = sizes[${axis}];`),
      ...operands.flatMap((operand, k) => [
        `const b${k} = arrays[${k}], { offset: o${k}, length: l${k}, strides: w${k} } = operands[${k}];`,
        ...operand.walk.flatMap((walk, axis) => (walk === "stride" ? [`const s${k}_${axis} = w${k}[${axis}];`] : [])),
      ]),
      ...params.map(
        (dtype, i) => `const c${i} = ${dtype === "f32" ? this.#rounded(`params[${i}]`) : `params[${i}] | 0`};`,
      ),
    ];
  }

  /** Nested loops over `axes`; pointers step along. */
  loops(axes: readonly number[], pointers: Pointers, body: (pointers: Pointers) => string[]): string[] {
    const [axis, ...rest] = axes;
    // A block of its own: stages without a loop around them share one function.
    if (axis === undefined) return ["{", ...body(pointers), "}"];
    const inner = [...pointers];
    let starts = `let i${axis} = 0`;
    let steps = `i${axis}++`;
    for (const [k, { walk }] of this.#kernel.operands.entries()) {
      if (walk[axis] === "still") continue;
      inner[k] = `p${k}_${axis}`;
      starts += `, ${inner[k]} = ${pointers[k]}`;
      steps += `, ${inner[k]} += ${walk[axis] === "unit" ? 1 : `s${k}_${axis}`}`;
    }
    return [`for (${starts}; i${axis} < n${axis}; ${steps}) {`, ...this.loops(rest, inner, body), "}"];
  }

  stages(pointers: Pointers): string[] {
    let reduces = 0;
    return this.#kernel.stages.flatMap((stage) =>
      this.#stage(stage, { pointers, row: stage.kind === "reduce" ? reduces++ : 0 }),
    );
  }

  /** A fold and what is stored of it, for the rows along an axis: several beside each other while there are as many. */
  rows(
    axis: number,
    { fold, store, pointers }: { fold: ReduceStage; store: StoreStage; pointers: Pointers },
  ): string[] {
    const inner = [...pointers];
    const steps: string[] = [];
    for (const [k, { walk }] of this.#kernel.operands.entries()) {
      if (walk[axis] === "still") continue;
      inner[k] = `p${k}_${axis}`;
      steps[k] = walk[axis] === "unit" ? "1" : `s${k}_${axis}`;
    }
    const starts = steps.map((_, k) => `, ${inner[k]} = ${pointers[k]}`).join("");
    const advance = (rows: number) =>
      `i${axis} += ${rows}${steps.map((step, k) => `, ${inner[k]} += ${rows} * ${step}`).join("")}`;
    const lanes = Array.from({ length: BESIDE }, (_, lane) => lane);
    const apart = steps.flatMap((step, k) => lanes.map((lane) => `const d${k}_${lane} = ${lane} * ${step};`));
    const laneOf = (at: Pointers, lane: number): Pointers =>
      at.map((pointer, k) => (steps[k] === undefined ? pointer : `${pointer} + d${k}_${lane}`));
    const { dtype, identity } = foldPlan(fold, this.#reduceAxes.length);
    const folded = this.loops(this.#reduceAxes, inner, (at) => {
      const known = new Map<string, string>();
      return lanes.flatMap((lane) => {
        const { lines, names } = this.#evaluate([fold.expr], laneOf(at, lane), known);
        return [...lines, `q${lane} = ${FOLDS[fold.op][dtype](`q${lane}`, names.get(fold.expr)!)};`];
      });
    });
    const stored = lanes.flatMap((lane) => [
      `{ const r0 = ${dtype === "f32" ? this.#rounded(`q${lane}`) : `q${lane}`};`,
      ...this.#store(store, laneOf(inner, lane)),
      "}",
    ]);
    return [
      ...apart,
      `let i${axis} = 0${starts};`,
      `for (; i${axis} + ${BESIDE} <= n${axis}; ${advance(BESIDE)}) {`,
      `let ${lanes.map((lane) => `q${lane} = ${identity}`).join(", ")};`,
      ...[...folded, ...stored, "}"],
      ...[`for (; i${axis} < n${axis}; ${advance(1)}) {`, ...this.stages(inner), "}"],
    ];
  }

  #stage(stage: Stage, { pointers, row }: { pointers: Pointers; row: number }): string[] {
    if (stage.kind === "store") {
      const body = (inner: Pointers): string[] => this.#store(stage, inner);
      return stage.perRow ? ["{", ...body(pointers), "}"] : this.loops(this.#reduceAxes, pointers, body);
    }
    const { dtype, identity } = foldPlan(stage, this.#reduceAxes.length);
    const fold = FOLDS[stage.op][dtype];
    const body = (inner: Pointers): string[] => {
      const { lines, names } = this.#evaluate([stage.expr], inner);
      return [...lines, `r${row} = ${fold(`r${row}`, names.get(stage.expr)!)};`];
    };
    return [
      `let r${row} = ${identity};`,
      ...this.loops(this.#reduceAxes, pointers, body),
      ...(dtype === "f32" && this.#round ? [`r${row} = Math.fround(r${row});`] : []),
    ];
  }

  #store(stage: StoreStage, pointers: Pointers): string[] {
    const { lines, names } = this.#evaluate(stageExpressions(stage), pointers);
    const stores = stage.writes.map(({ operand: k, index, expr }) => {
      const value = names.get(expr)!;
      if (!index) return `b${k}[${pointers[k]}] = ${value};`;
      const [i, target] = [names.get(index)!, `b${k}[o${k} + ${names.get(index)}]`];
      return `if (${i} >= 0 && ${i} < l${k}) ${target} = ${this.#rounded(`${target} + ${value}`)};`;
    });
    return [...lines, ...stores];
  }

  /** One constant per node, and the names of all nodes. What is `known` already is printed no more. */
  #evaluate(
    roots: readonly Expr[],
    pointers: Pointers,
    known = new Map<string, string>(),
  ): { lines: string[]; names: ReadonlyMap<Expr, string> } {
    const names = new Map<Expr, string>();
    const lines: string[] = [];
    for (const e of postorder(roots)) {
      const leaf = e.op === "const" ? this.#literal(e) : leafName(e);
      const args = e.args.map((arg) => names.get(arg)!);
      const text = leaf ?? this.#operation(e, args, pointers);
      const name = leaf ?? known.get(text) ?? `v${known.size}`;
      if (leaf === undefined && !known.has(text)) {
        known.set(text, name);
        lines.push(`const ${name} = ${text};`);
      }
      names.set(e, name);
    }
    return { lines, names };
  }

  #operation(e: Expr, args: readonly string[], pointers: Pointers): string {
    if (e.op === "load") {
      const k = e.value;
      return args.length === 0
        ? `b${k}[${pointers[k]}]`
        : `b${k}[o${k} + Math.max(0, Math.min(l${k} - 1, ${args[0]}))]`;
    }
    const text = ruleFor(OPERATIONS, e)(args[0]!, args[1]!, args[2]!);
    return e.dtype === "f32" && e.op !== "select" ? this.#rounded(text) : text;
  }

  #rounded(text: string): string {
    return this.#round ? `Math.fround(${text})` : text;
  }

  #literal({ dtype, value }: Expr): string {
    if (dtype !== "f32") return `${value | 0}`;
    const v = this.#round ? Math.fround(value) : value;
    return Object.is(v, -0) ? "-0" : v < 0 ? `(${v})` : `${v}`;
  }
}

type Print = (a: string, b: string, c: string) => string;

const maximum = (acc: string, v: string): string => `Math.max(${acc}, ${v})`;
const minimum = (acc: string, v: string): string => `Math.min(${acc}, ${v})`;
const FOLDS: Record<ReduceStage["op"], Record<"f32" | "i32", (acc: string, v: string) => string>> = {
  sum: { f32: (acc, v) => `${acc} + ${v}`, i32: (acc, v) => `(${acc} + ${v}) | 0` },
  max: { f32: maximum, i32: maximum },
  min: { f32: minimum, i32: minimum },
};

/** One form for all element types; a bool is 0 or 1. */
const alike = (print: Print): Record<Dtype, Print> => ({ f32: print, i32: print, bool: print });

/** JavaScript by op and element type; f32 results are rounded afterwards. */
const OPERATIONS: OperationTable<Print> = {
  add: { f32: (a, b) => `${a} + ${b}`, i32: (a, b) => `(${a} + ${b}) | 0` },
  sub: { f32: (a, b) => `${a} - ${b}`, i32: (a, b) => `(${a} - ${b}) | 0` },
  mul: { f32: (a, b) => `${a} * ${b}`, i32: (a, b) => `Math.imul(${a}, ${b})` },
  div: { f32: (a, b) => `${a} / ${b}`, i32: (a, b) => `(${a} / ${b}) | 0` },
  rem: { i32: (a, b) => `(${a} % ${b}) | 0` },
  and: alike((a, b) => `${a} & ${b}`),
  or: alike((a, b) => `${a} | ${b}`),
  xor: alike((a, b) => `${a} ^ ${b}`),
  shl: { i32: (a, b) => `${a} << ${b}` },
  shr: { i32: (a, b) => `(${a} >>> ${b}) | 0` },
  floor: { f32: (a) => `Math.floor(${a})` },
  abs: { f32: (a) => `Math.abs(${a})` },
  sqrt: { f32: (a) => `Math.sqrt(${a})` },
  exp: { f32: (a) => `Math.exp(${a})` },
  log: { f32: (a) => `Math.log(${a})` },
  tanh: { f32: (a) => `Math.tanh(${a})` },
  sigmoid: { f32: (a) => `1 / (1 + Math.exp(-${a}))` },
  erf: { f32: (a) => `lib.erf(${a})` },
  isNaN: { f32: (a) => `(${a} !== ${a} ? 1 : 0)` },
  isFinite: { f32: (a) => `(${a} - ${a} === 0 ? 1 : 0)` },
  cast: { f32: (a) => `lib.toInt(${a})`, i32: (a) => a, bool: (a) => a },
  bitcast: { f32: (a) => `lib.floatBits(${a})`, i32: (a) => `lib.floatOf(${a})` },
  min: alike((a, b) => `Math.min(${a}, ${b})`),
  max: alike((a, b) => `Math.max(${a}, ${b})`),
  lt: alike((a, b) => `(${a} < ${b} ? 1 : 0)`),
  eq: alike((a, b) => `(${a} === ${b} ? 1 : 0)`),
  select: { bool: (c, a, b) => `(${c} ? ${a} : ${b})` },
};
