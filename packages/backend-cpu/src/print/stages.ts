import { type Expr, postorder, type Stage, stageExpressions } from "@dfine/tensor/kernel";
import type { Local } from "../wasm/assembler.ts";
import { scatter, store } from "./access.ts";
import { Fold } from "./fold.ts";
import { type Strips, stepLoop, vectorLoop } from "./loops.ts";
import type { Printing, Site } from "./site.ts";
import type { Values } from "./values.ts";

/** Prints the stages of a kernel, one after the other, at the place where they follow each other. */
export function printStages(printing: Printing, values: Values, site: Site): void {
  printing.rows.length = 0;
  for (const [i, stage] of printing.nest.stages.entries()) {
    values.scope(() => {
      const roots = stageExpressions(stage);
      values.enter(roots, site);
      printStage({ printing, values, site, roots, groups: printing.nest.groups[i]! }, stage);
    });
  }
}

interface Place {
  readonly printing: Printing;
  readonly values: Values;
  readonly site: Site;
  readonly roots: readonly Expr[];
  /** Vectors together in the main loop of a stage with lanes along a reduced axis. */
  readonly groups: number;
}

function printStage(place: Place, stage: Stage): void {
  const { printing, values, site, roots } = place;
  const { f, nest } = printing;
  const computed = (expr: Expr, inner: Site, group: number): Local => {
    const value = f.local("v128");
    values.push(expr, inner, group);
    f.set(value);
    return value;
  };
  switch (stage.kind) {
    case "reduce": {
      const fold = new Fold(printing, stage, nest.lanes === "reduce" ? place.groups : site.groups);
      const used = operandsIn(roots);
      innerLoops(place, { used, strips: fold.strips, endRun: () => fold.endRun() }, (inner) => fold.add(values, inner));
      const results = fold.finish();
      values.holdForStages(results);
      printing.rows.push(results);
      return;
    }
    case "store": {
      const used = operandsIn(roots);
      for (const { operand } of stage.writes) used.add(operand);
      // All is computed before anything is stored, the last vector first: so neighbours merge.
      const body = (inner: Site): void => {
        const results: Local[][] = [];
        values.eachGroup(roots, inner, (group) => {
          results.push(stage.writes.map(({ expr }) => computed(expr, inner, group)));
        });
        stage.writes.forEach(({ operand, expr: { dtype } }, i) => {
          for (let group = results.length - 1; group >= 0; group--)
            store(printing, { operand, dtype, group }, { site: inner, value: results[group]![i]! });
        });
        f.release(...results.flat());
      };
      if (stage.perRow) body(site);
      else innerLoops(place, { used }, body);
      return;
    }
    case "scatter":
      innerLoops(place, { used: operandsIn(roots) }, (inner) => {
        values.eachGroup(roots, inner, (group) => {
          const [index, value] = [f.local("v128"), f.local("v128")];
          values.push(stage.index, inner, group);
          f.set(index);
          values.push(stage.expr, inner, group);
          f.set(value);
          scatter(printing, { operand: stage.operand, dtype: stage.expr.dtype, group }, { site: inner, index, value });
          f.release(index, value);
        });
      });
      return;
    default:
      stage satisfies never;
      throw new Error("unreachable: unknown stage");
  }
}

const operandsIn = (roots: readonly Expr[]): Set<number> =>
  new Set(postorder(roots).flatMap((e) => (e.op === "load" && e.args.length === 0 ? [e.value] : [])));

interface InnerLoops {
  readonly used: ReadonlySet<number>;
  readonly strips?: Strips | undefined;
  /** Printed after the innermost loop, inside the next one. */
  endRun?(): void;
}

/** The loops inside a row (or a vector of elements), with the body in the innermost. */
function innerLoops(
  { printing, values, site, roots, groups }: Place,
  loops: InnerLoops,
  body: (site: Site) => void,
): void {
  const { innerAxes, lanes } = printing.nest;
  const nest = (at: number, outer: Site): void => {
    const axis = innerAxes[at];
    if (axis === undefined) {
      body(outer);
      return;
    }
    const innermost = at === innerAxes.length - 1;
    const loop = { axis, site: outer, used: loops.used, strips: innermost ? loops.strips : undefined };
    const inside = (inner: Site): void =>
      values.scope(() => {
        if (!innermost) values.enter(roots, inner);
        nest(at + 1, inner);
      });
    if (innermost && lanes === "reduce") vectorLoop(printing, { ...loop, groups }, inside);
    else stepLoop(printing, loop, inside);
    if (innermost && at > 0) loops.endRun?.();
  };
  nest(0, site);
}
