import { type Expr, postorder, type ReduceStage, type StoreStage, stageExpressions } from "@dfine/tensor/kernel";
import type { Local } from "../wasm/assembler.ts";
import { scatter, store } from "./access.ts";
import { Fold } from "./fold.ts";
import { type Strips, stepLoop, vectorLoop } from "./loops.ts";
import type { Printing, Site } from "./site.ts";
import type { Values } from "./values.ts";

/** Prints the stages of a kernel, one pass after the other, at the place where they follow each other. */
export function printStages(printing: Printing, values: Values, site: Site): void {
  printing.rows.length = 0;
  for (const { stages, groups } of printing.nest.passes) {
    values.scope(() => {
      const roots = stages.flatMap(stageExpressions);
      values.enter(roots, site);
      const place = { printing, values, site, roots, groups };
      const [first] = stages;
      if (first?.kind === "store") printStore(place, first);
      else
        printFolds(
          place,
          stages.filter((stage) => stage.kind === "reduce"),
        );
    });
  }
}

interface Place {
  readonly printing: Printing;
  readonly values: Values;
  readonly site: Site;
  readonly roots: readonly Expr[];
  /** Vectors together in the main loop of a pass with lanes along a reduced axis. */
  readonly groups: number;
}

function printFolds(place: Place, stages: readonly ReduceStage[]): void {
  const { printing, values, site, roots, groups } = place;
  const folds = stages.map(
    (stage) => new Fold(printing, stage, printing.nest.lanes === "reduce" ? groups : site.groups),
  );
  const inStrips = folds.flatMap(({ strips }) => strips ?? []);
  const strips = inStrips[0] && {
    length: inStrips[0].length,
    begin: () => each(inStrips, (fold) => fold.begin()),
    end: () => each(inStrips, (fold) => fold.end()),
  };
  const add = (inner: Site): void =>
    values.eachGroup(roots, inner, (group) => {
      for (const fold of folds) fold.add(values, inner, group);
    });
  const endRun = (): void => each(folds, (fold) => fold.endRun());
  innerLoops(place, { used: operandsIn(roots), strips, endRun }, add);
  for (const fold of folds) {
    const results = fold.finish();
    values.holdForStages(results);
    printing.rows.push(results);
  }
}

function each<T>(list: readonly T[], act: (item: T) => void): void {
  for (const item of list) act(item);
}

function printStore(place: Place, stage: StoreStage): void {
  const { printing, values, site, roots } = place;
  const { f } = printing;
  const computed = (expr: Expr, inner: Site, group: number): Local => {
    const value = f.local("v128");
    values.push(expr, inner, group);
    f.set(value);
    return value;
  };
  const used = operandsIn(roots);
  for (const { operand } of stage.writes) used.add(operand);
  // All is computed before anything is stored, the last vector first: so neighbours merge. Sums are added in order.
  const body = (inner: Site): void => {
    const results: { index: Local | undefined; value: Local }[][] = [];
    values.eachGroup(roots, inner, (group) => {
      results.push(
        stage.writes.map(({ index, expr }) => ({
          index: index && computed(index, inner, group),
          value: computed(expr, inner, group),
        })),
      );
    });
    for (const [i, { operand, expr }] of stage.writes.entries()) {
      const element = (group: number) => ({ operand, dtype: expr.dtype, group });
      for (const [group, written] of results.entries()) {
        const { index, value } = written[i]!;
        if (index) scatter(printing, element(group), { site: inner, index, value });
      }
      for (let group = results.length - 1; group >= 0; group--) {
        const { index, value } = results[group]![i]!;
        if (!index) store(printing, element(group), { site: inner, value });
      }
    }
    f.release(...results.flat(2).flatMap(({ index, value }) => (index ? [index, value] : [value])));
  };
  if (stage.perRow) body(site);
  else innerLoops(place, { used }, body);
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
