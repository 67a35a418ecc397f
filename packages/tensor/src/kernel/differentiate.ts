import { constant, type Expr, postorder, row } from "./expr.ts";
import type { ExprOp } from "./exprOps.ts";
import type { Stage } from "./kernel.ts";
import { type Still, termsOf } from "./terms.ts";

export type Adjoints = Map<Expr, Expr>;

/** What flows into each argument of node `e` when `g` flows out of it; undefined where nothing does. */
type Derivative = (g: Expr, e: Expr, args: readonly [Expr, Expr, Expr]) => readonly (Expr | undefined)[];

/** Nothing depends smoothly on the arguments: leaves, steps, and what gives no f32. */
const FLAT: Derivative = () => [];

/** All to argument a where `lower` < `upper`, all to b where not. A tie gives half to each, as PyTorch's maximum does. */
const toWinner = (g: Expr, lower: Expr, upper: Expr): [a: Expr, b: Expr] => {
  const share = lower.lt(upper).select(1, lower.eq(upper).select(0.5, 0));
  return [g.mul(share), g.mul(constant(1).sub(share))];
};

const DERIVATIVES: Readonly<Record<ExprOp, Derivative>> = {
  add: (g) => [g, g],
  sub: (g) => [g, g.neg()],
  mul: (g, _, [a, b]) => [g.mul(b), g.mul(a)],
  div: (g, e, [, b]) => [g.div(b), g.mul(e).div(b).neg()],
  min: (g, _, [a, b]) => toWinner(g, a, b),
  max: (g, _, [a, b]) => toWinner(g, b, a),
  abs: (g, _, [a]) => [a.lt(0).select(g.neg(), a.gt(0).select(g, 0))],
  sqrt: (g, e) => [g.mul(0.5).div(e)],
  exp: (g, e) => [g.mul(e)],
  log: (g, _, [a]) => [g.div(a)],
  tanh: (g, e) => [g.mul(constant(1).sub(e.mul(e)))],
  sigmoid: (g, e) => [g.mul(e).mul(constant(1).sub(e))],
  erf: (g, _, [a]) => [g.mul(a.mul(a).neg().exp()).mul(2 / Math.sqrt(Math.PI))],
  select: (g, _, [condition]) => [undefined, condition.select(g, 0), condition.select(0, g)],
  ...{ const: FLAT, param: FLAT, axis: FLAT, load: FLAT, row: FLAT },
  ...{ floor: FLAT, cast: FLAT, bitcast: FLAT, rem: FLAT, shl: FLAT, shr: FLAT },
  ...{ isNaN: FLAT, isFinite: FLAT, lt: FLAT, eq: FLAT, and: FLAT, or: FLAT, xor: FLAT },
};

/** Derivatives of `root` times `seed` with respect to every node: reverse mode over the scalar DAG. */
export function differentiate(root: Expr, seed: Expr): Adjoints {
  const adjoints: Adjoints = new Map([[root, seed]]);
  for (const e of postorder([root]).reverse()) {
    const g = adjoints.get(e);
    if (!g || e.dtype !== "f32") continue;
    for (const [i, gradient] of DERIVATIVES[e.op](g, e, e.args as [Expr, Expr, Expr]).entries()) {
      if (!gradient) continue;
      const to = e.args[i]!;
      const before = adjoints.get(to);
      adjoints.set(to, before ? before.add(gradient) : gradient);
    }
  }
  return adjoints;
}

export interface StageGradient {
  /** Reduce stages: those of the forward pass, then the adjoint ones. */
  readonly reduces: Stage[];
  /** Gradient of a load as it stands for every element; undefined when nothing flows. */
  element(load: Expr): Expr | undefined;
  /** Gradient of a load that stands still on the reduced axes, once per row; may add a reduce stage. */
  perRow(load: Expr): Expr | undefined;
}

/** What reverse mode over stages is told of the operands. */
export interface StageSeeds {
  /** The incoming gradient of each written operand, or undefined. */
  seed(operand: number): Expr | undefined;
  /** What is the same for all elements of a row, gradients included. */
  readonly still: Still;
  /** A value of an element with what the forward pass stored in place of what it was computed from. */
  recall(e: Expr): Expr;
}

/**
 * Reverse mode over stages. Forward reductions appear as they are numbered; max and min reductions are constants (exact
 * wherever they only shift, as in softmax). What stands still is drawn out of sums, and sums that are equal then are one.
 */
export function differentiateStages(
  stages: readonly Stage[],
  { seed: seedOf, still, recall }: StageSeeds,
): StageGradient {
  const forward = stages.filter((stage) => stage.kind === "reduce");
  const reduces: Stage[] = [...forward];
  const elementPaths: Adjoints[] = [];
  const rowPaths: Adjoints[] = [];
  for (const stage of stages) {
    if (stage.kind !== "store") continue;
    for (const write of stage.writes) {
      const seed = seedOf(write.operand);
      if (seed) (stage.perRow ? rowPaths : elementPaths).push(differentiate(write.expr, seed));
    }
  }
  const total = (paths: readonly Adjoints[], leaf: Expr): Expr | undefined =>
    sum(paths.map((path) => path.get(leaf)).filter((e) => e !== undefined));
  const sumOver = (expr: Expr): Expr => {
    const known = reduces.findIndex((stage) => stage.kind === "reduce" && stage.op === "sum" && stage.expr === expr);
    return row(known >= 0 ? known : reduces.push({ kind: "reduce", op: "sum", expr }) - 1);
  };
  const terms = (e: Expr) => termsOf(recall(e), still);
  const fold = (e: Expr): Expr =>
    sum(terms(e).map((term) => (term.element ? term.still.mul(sumOver(term.element)) : sumOver(term.still))))!;
  const gather = (leaf: Expr): Expr | undefined => {
    const spread = total(elementPaths, leaf);
    const once = total(rowPaths, leaf);
    return sum([spread && fold(spread), once && recall(once)].filter((e) => e !== undefined));
  };
  for (let i = forward.length - 1; i >= 0; i--) {
    const stage = forward[i]!;
    if (stage.op !== "sum") continue;
    const adjoint = gather(row(i));
    if (adjoint) elementPaths.push(differentiate(stage.expr, adjoint));
  }
  // What is added to whole rows is added last.
  const value = (e: Expr): Expr => {
    const [a, b] = e.args;
    if (e.op === "add" && still(b!)) return value(a!).add(b!);
    return sum(terms(e).map((term) => (term.element ? term.still.mul(term.element) : term.still)))!;
  };
  const element = (leaf: Expr): Expr | undefined => {
    const spread = total(elementPaths, leaf);
    return spread && value(spread);
  };
  return { reduces, element, perRow: gather };
}

const sum = (all: readonly Expr[]): Expr | undefined => (all.length === 0 ? undefined : all.reduce((a, b) => a.add(b)));
