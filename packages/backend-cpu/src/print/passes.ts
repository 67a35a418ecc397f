import {
  COSTLY,
  type Expr,
  type Kernel,
  load,
  type Operand,
  postorder,
  type ReduceStage,
  replace,
  type Stage,
  type StoreStage,
  stageExpressions,
} from "@dfine/tensor/kernel";

/** One run through a row: reductions that need no result of each other, and a store that needs none of them. */
export interface Pass {
  readonly folds: readonly ReduceStage[];
  readonly store: StoreStage | undefined;
}

/** The stages of a pass. */
export const stagesOf = ({ folds, store }: Pass): Stage[] => (store ? [...folds, store] : [...folds]);

/** Stages in order, in as few passes as possible. */
export function passesOf(stages: readonly Stage[]): Pass[] {
  const passes: { folds: ReduceStage[]; store: StoreStage | undefined }[] = [];
  let [reduces, first] = [0, 0];
  for (const stage of stages) {
    const last = passes.at(-1);
    const waits = postorder(stageExpressions(stage)).some((e) => e.op === "row" && e.value >= first);
    const joins = last && !last.store && !waits && !(stage.kind === "store" && stage.perRow);
    const pass = joins ? last : { folds: [], store: undefined };
    if (!joins) {
      passes.push(pass);
      first = reduces;
    }
    if (stage.kind === "store") pass.store = stage;
    else {
      pass.folds.push(stage);
      reduces++;
    }
  }
  return passes;
}

/**
 * What a reduction has computed at some cost, and the store of the elements needs again, waits where that store will write:
 * in an operand that is only written, and has an element of its own for each.
 */
export function keepCostly(stages: readonly Stage[], { operands, axes }: Kernel): Stage[] {
  const isRoomy = ({ mode, walk, dtype }: Operand): boolean =>
    mode === "write" && dtype === "f32" && walk.every((way, axis) => axes[axis] === "map" || way !== "still");
  const at = stages.findIndex((stage) => stage.kind === "store" && !stage.perRow);
  const store = stages[at] as StoreStage | undefined;
  const write = store?.writes.find(({ operand, index }) => !index && isRoomy(operands[operand]!));
  if (!store || !write) return [...stages];
  const needed = new Set(postorder(stageExpressions(store)));
  const costlyIn = (stage: Stage): Expr | undefined =>
    postorder(stageExpressions(stage)).find((e) => COSTLY.has(e.op) && needed.has(e));
  const before = passesOf(stages.slice(0, at)).map(stagesOf);
  const pass = before.findIndex((together) => together.some(costlyIn));
  if (pass < 0) return [...stages];
  const costly = before[pass]!.map(costlyIn).find((e) => e !== undefined)!;
  const kept: StoreStage = { kind: "store", perRow: false, writes: [{ operand: write.operand, expr: costly }] };
  const known = new Map([[costly, load(write.operand)]]);
  const writes = store.writes.map((own) => ({ ...own, expr: replace(own.expr, known) }));
  const [first, later] = [before.slice(0, pass + 1), before.slice(pass + 1)];
  return [...first.flat(), kept, ...later.flat(), { ...store, writes }, ...stages.slice(at + 1)];
}
