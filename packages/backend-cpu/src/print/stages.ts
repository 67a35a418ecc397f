import { type Expr, postorder, type StoreStage, stageExpressions, type Write } from "@dfine/tensor/kernel";
import type { Local } from "../wasm/assembler.ts";
import { scatter, store } from "./access.ts";
import { Fold } from "./fold.ts";
import { type Strips, stepLoop, vectorLoop } from "./loops.ts";
import { type Pass, stagesOf } from "./passes.ts";
import type { Printing, Site } from "./site.ts";
import type { Values } from "./values.ts";

/** Prints the stages of a kernel, one pass after the other, at the place where they follow each other. */
export function printStages(printing: Printing, values: Values, site: Site): void {
  printing.rows.length = 0;
  for (const pass of printing.nest.passes) {
    values.scope(() => {
      const roots = stagesOf(pass).flatMap(stageExpressions);
      values.enter(roots, site);
      printPass({ printing, values, site, roots, groups: pass.groups }, pass);
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

function printPass(place: Place, pass: Pass): void {
  const { printing, values, site, roots, groups } = place;
  const { store } = pass;
  const folds = pass.folds.map(
    (stage) => new Fold(printing, stage, printing.nest.lanes === "reduce" ? groups : site.groups),
  );
  const body = (inner: Site): void => {
    const results: Written[][] = [];
    values.eachGroup(roots, inner, (group) => {
      for (const fold of folds) fold.add(values, inner, group);
      if (store) results.push(store.writes.map((write) => computeWrite(place, write, { inner, group })));
    });
    if (store) storeResults(printing, store, { results, site: inner });
  };
  if (store?.perRow) body(site);
  else {
    const used = operandsIn(roots);
    for (const { operand } of store?.writes ?? []) used.add(operand);
    innerLoops(place, { used, strips: stripsOf(folds), endRun: () => each(folds, (fold) => fold.endRun()) }, body);
  }
  for (const fold of folds) {
    const results = fold.finish();
    values.holdForStages(results);
    printing.rows.push(results);
  }
}

function stripsOf(folds: readonly Fold[]): Strips | undefined {
  const all = folds.flatMap(({ strips }) => strips ?? []);
  const [first] = all;
  return (
    first && {
      ...first,
      begin: () => each(all, (strip) => strip.begin()),
      end: () => each(all, (strip) => strip.end()),
    }
  );
}

function each<T>(list: readonly T[], act: (item: T) => void): void {
  for (const item of list) act(item);
}

/** A value that is to be stored, and where in an indexed operand. */
interface Written {
  readonly index: Local | undefined;
  readonly value: Local;
}

function computeWrite(
  { printing: { f }, values }: Place,
  { index, expr }: Write,
  { inner, group }: { inner: Site; group: number },
): Written {
  const computed = (e: Expr): Local => {
    const value = f.local("v128");
    values.push(e, inner, group);
    f.set(value);
    return value;
  };
  return { index: index && computed(index), value: computed(expr) };
}

/** All is computed before anything is stored, the last vector first: so neighbours merge. Sums are added in order. */
function storeResults(
  printing: Printing,
  { writes }: StoreStage,
  { results, site }: { results: readonly (readonly Written[])[]; site: Site },
): void {
  for (const [i, { operand, expr }] of writes.entries()) {
    const element = (group: number) => ({ operand, dtype: expr.dtype, group });
    for (const [group, written] of results.entries()) {
      const { index, value } = written[i]!;
      if (index) scatter(printing, element(group), { site, index, value });
    }
    for (let group = results.length - 1; group >= 0; group--) {
      const { index, value } = results[group]![i]!;
      if (!index) store(printing, element(group), { site, value });
    }
  }
  printing.f.release(...results.flat(2).flatMap(({ index, value }) => (index ? [index, value] : [value])));
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
