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
  if (fold?.kind !== "reduce" || store?.kind !== "store" || !store.perRow || more.length > 0)
    return [...printer.header(), ...printer.loops(axes, starts, (pointers) => printer.stages(pointers))].join("\n");
  const tile = tileAxes(kernel, fold);
  const around = axes.filter((axis) => !tile.some((beside) => beside.axis === axis));
  const lanes = [starts.map(() => "")];
  const body = printer.loops(around, starts, (pointers) => printer.rows(tile, { fold, store }, { pointers, lanes }));
  return [...printer.header(), ...body].join("\n");
}

/** Pointer variable of each operand at some loop depth. */
type Pointers = readonly string[];

/**
 * Rows of sums that are folded beside each other, each in its own order: what they share is loaded once, neighbours lie in one
 * line of the cache, and no addition waits for the one before. A lane is what is added to each operand's pointer for one row.
 */
interface Tile {
  readonly pointers: Pointers;
  readonly lanes: readonly Pointers[];
}

/** An axis, and how many rows along it are folded beside each other. */
interface Beside {
  readonly axis: number;
  readonly count: number;
}

/** Along which axes: the last, and one along which nothing walks that walks along the last, as the two of a product. */
function tileAxes(kernel: Kernel, { expr }: ReduceStage): readonly Beside[] {
  const readAxes = postorder(kernel.stages.flatMap(stageExpressions)).flatMap((e) =>
    e.op === "axis" ? [e.value] : [],
  );
  const walks = postorder([expr]).flatMap(({ op, value }) => (op === "load" ? [kernel.operands[value]!.walk] : []));
  const axes = axesOf(kernel, "map");
  const last = axes.pop();
  if (last === undefined || readAxes.includes(last)) return [];
  const other = axes.reverse().find((axis) => {
    const walking = walks.filter((walk) => walk[axis] !== "still");
    return !readAxes.includes(axis) && walking.length > 0 && walking.every((walk) => walk[last] === "still");
  });
  return other === undefined ? [{ axis: last, count: 8 }] : [other, last].map((axis) => ({ axis, count: 4 }));
}

/** A kernel's fold, and what is stored of it for each row. */
interface RowStages {
  readonly fold: ReduceStage;
  readonly store: StoreStage;
}

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
    const { inner, start, advance } = this.#walk(axis, pointers);
    return [`for (${start}; i${axis} < n${axis}; ${advance(1)}) {`, ...this.loops(rest, inner, body), "}"];
  }

  stages(pointers: Pointers): string[] {
    let reduces = 0;
    return this.#kernel.stages.flatMap((stage) =>
      this.#stage(stage, { pointers, row: stage.kind === "reduce" ? reduces++ : 0 }),
    );
  }

  /** A fold and what is stored of it, for all rows along the axes: several beside each other while there are as many. */
  rows([beside, ...rest]: readonly Beside[], stages: RowStages, { pointers, lanes }: Tile): string[] {
    if (beside === undefined) return this.#fold(stages, { pointers, lanes });
    const { axis, count } = beside;
    const { inner, steps, start, advance } = this.#walk(axis, pointers);
    const places = Array.from({ length: count }, (_, place) => place);
    const apart = steps.flatMap((step, k) =>
      places.map((place) => `const d${k}_${axis}_${place} = ${place} * ${step};`),
    );
    const added = (k: number, place: number) => (steps[k] && place > 0 ? ` + d${k}_${axis}_${place}` : "");
    const wide = lanes.flatMap((lane) => places.map((place) => lane.map((text, k) => text + added(k, place))));
    return [
      ...["{", ...apart, `${start};`],
      `for (; i${axis} + ${count} <= n${axis}; ${advance(count)}) {`,
      ...this.rows(rest, stages, { pointers: inner, lanes: wide }),
      `} for (; i${axis} < n${axis}; ${advance(1)}) {`,
      ...this.rows(rest, stages, { pointers: inner, lanes }),
      ...["}", "}"],
    ];
  }

  #fold({ fold, store }: RowStages, { pointers, lanes }: Tile): string[] {
    const { dtype, identity } = foldPlan(fold, this.#reduceAxes.length);
    const at = (place: Pointers, lane: Pointers): Pointers => place.map((pointer, k) => pointer + lane[k]);
    const folded = this.loops(this.#reduceAxes, pointers, (place) => {
      const known = new Map<string, string>();
      return lanes.flatMap((lane, q) => {
        const { lines, names } = this.#evaluate([fold.expr], at(place, lane), known);
        return [...lines, `q${q} = ${FOLDS[fold.op][dtype](`q${q}`, names.get(fold.expr)!)};`];
      });
    });
    const stored = lanes.flatMap((lane, q) => [
      `{ const r0 = ${dtype === "f32" ? this.#rounded(`q${q}`) : `q${q}`};`,
      ...this.#store(store, at(pointers, lane)),
      "}",
    ]);
    return [`let ${lanes.map((_, q) => `q${q} = ${identity}`).join(", ")};`, ...folded, ...stored];
  }

  /** How the operands' pointers go along an axis: their names inside the loop, their steps, and the loop's start and advance. */
  #walk(axis: number, pointers: Pointers) {
    const inner = [...pointers];
    const steps: string[] = [];
    for (const [k, { walk }] of this.#kernel.operands.entries()) {
      if (walk[axis] === "still") continue;
      inner[k] = `p${k}_${axis}`;
      steps[k] = walk[axis] === "unit" ? "1" : `s${k}_${axis}`;
    }
    const start = [`let i${axis} = 0`, ...steps.flatMap((_, k) => `${inner[k]} = ${pointers[k]}`)].join(", ");
    const advance = (rows: number) =>
      [
        `i${axis} += ${rows}`,
        ...steps.flatMap((step, k) => `${inner[k]} += ${rows === 1 ? step : `${rows} * ${step}`}`),
      ].join(", ");
    return { inner, steps, start, advance };
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
