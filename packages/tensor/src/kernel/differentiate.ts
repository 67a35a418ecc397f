import { constant, type Expr, postorder, row } from "./expr.ts";
import type { Stage } from "./kernel.ts";

export type Adjoints = Map<Expr, Expr>;

/** Derivatives of `root` times `seed` with respect to every node: reverse mode over the scalar DAG. */
export function differentiate(root: Expr, seed: Expr): Adjoints {
  const adjoints: Adjoints = new Map([[root, seed]]);
  const flow = (to: Expr, gradient: Expr): void => {
    const before = adjoints.get(to);
    adjoints.set(to, before ? before.add(gradient) : gradient);
  };
  for (const e of postorder([root]).reverse()) {
    const g = adjoints.get(e);
    if (!g || e.dtype !== "f32") continue;
    const [a, b, c] = e.args as [Expr, Expr, Expr];
    switch (e.op) {
      case "add":
        flow(a, g);
        flow(b, g);
        break;
      case "sub":
        flow(a, g);
        flow(b, g.neg());
        break;
      case "mul":
        flow(a, g.mul(b));
        flow(b, g.mul(a));
        break;
      case "div":
        flow(a, g.div(b));
        flow(b, g.mul(e).div(b).neg());
        break;
      case "min":
      case "max": {
        // A tie gives half to each side, as PyTorch's maximum does.
        const [lower, upper] = e.op === "max" ? [b, a] : [a, b];
        const share = lower.lt(upper).select(1, lower.eq(upper).select(0.5, 0));
        flow(a, g.mul(share));
        flow(b, g.mul(constant(1).sub(share)));
        break;
      }
      case "abs":
        flow(a, a.lt(0).select(g.neg(), a.gt(0).select(g, 0)));
        break;
      case "sqrt":
        flow(a, g.mul(0.5).div(e));
        break;
      case "exp":
        flow(a, g.mul(e));
        break;
      case "log":
        flow(a, g.div(a));
        break;
      case "tanh":
        flow(a, g.mul(constant(1).sub(e.mul(e))));
        break;
      case "sigmoid":
        flow(a, g.mul(e).mul(constant(1).sub(e)));
        break;
      case "erf":
        flow(a, g.mul(a.mul(a).neg().exp()).mul(2 / Math.sqrt(Math.PI)));
        break;
      case "select":
        flow(b, a.select(g, 0));
        flow(c, a.select(0, g));
        break;
      case "cast":
      case "floor":
      case "bitcast":
      case "const":
      case "param":
      case "axis":
      case "load":
      case "row":
        break;
      default:
        throw new Error(`unreachable: ${e.op} gives no f32`);
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

/**
 * Reverse mode over stages. `seeds` gives the incoming gradient of each written operand, or undefined. Forward reductions
 * are computed again; max and min reductions are constants (exact wherever they only shift, as in softmax).
 */
export function differentiateStages(
  stages: readonly Stage[],
  seeds: (operand: number) => Expr | undefined,
): StageGradient {
  const forward = stages.filter((stage) => stage.kind === "reduce");
  const reduces: Stage[] = [...forward];
  const elementPaths: Adjoints[] = [];
  const rowPaths: Adjoints[] = [];
  for (const stage of stages) {
    if (stage.kind !== "store") continue;
    for (const write of stage.writes) {
      const seed = seeds(write.operand);
      if (seed) (stage.perRow ? rowPaths : elementPaths).push(differentiate(write.expr, seed));
    }
  }
  const total = (paths: readonly Adjoints[], leaf: Expr): Expr | undefined =>
    paths.reduce<Expr | undefined>((sum, path) => {
      const gradient = path.get(leaf);
      return gradient && sum ? sum.add(gradient) : (gradient ?? sum);
    }, undefined);
  const fold = (expr: Expr): Expr => {
    const known = reduces.findIndex((stage) => stage.kind === "reduce" && stage.op === "sum" && stage.expr === expr);
    return row(known >= 0 ? known : reduces.push({ kind: "reduce", op: "sum", expr }) - 1);
  };
  const gather = (leaf: Expr): Expr | undefined => {
    const spread = total(elementPaths, leaf);
    const once = total(rowPaths, leaf);
    const folded = spread && fold(spread);
    return folded && once ? folded.add(once) : (folded ?? once);
  };
  for (let i = forward.length - 1; i >= 0; i--) {
    const stage = forward[i]!;
    if (stage.op !== "sum") continue;
    const adjoint = gather(row(i));
    if (adjoint) elementPaths.push(differentiate(stage.expr, adjoint));
  }
  return { reduces, element: (leaf) => total(elementPaths, leaf), perRow: gather };
}
