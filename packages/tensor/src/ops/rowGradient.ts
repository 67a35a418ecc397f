import type { Dtype } from "../dtype.ts";
import { differentiateStages } from "../kernel/differentiate.ts";
import { type Expr, load, loadsIn, postorder, replace, rewrite, row } from "../kernel/expr.ts";
import { COSTLY } from "../kernel/exprOps.ts";
import { type Stage, stageExpressions, type Write } from "../kernel/kernel.ts";
import { makeProgram, type Program, readOperand, updateOperand, writeOperand } from "../kernel/program.ts";
import { type Still, stillAlong } from "../kernel/terms.ts";

/** What a row op writes: a value per element, or per row. */
export interface RowOutput {
  readonly dtype: Dtype;
  readonly perRow: boolean;
}

/** What a row op does to inputs of certain dtypes. Operands are the inputs, then the outputs. */
export interface RowProgram {
  readonly name: string;
  readonly stages: readonly Stage[];
  readonly dtypes: readonly Dtype[];
  readonly paramDtypes: readonly Dtype[];
  readonly outputs: readonly RowOutput[];
  /** Of what each reduction gives. */
  readonly folds: readonly Dtype[];
}

export interface GradientNeed {
  /** Inputs that stand still along the row. */
  readonly still: readonly boolean[];
  readonly wanted: readonly boolean[];
  /** Outputs with an incoming gradient. */
  readonly given: readonly boolean[];
  /** The output whose incoming gradient may be overwritten; −1: none. */
  readonly spare: number;
}

export interface RowGradient {
  /** Operands: what it reads, the incoming gradients, the results. */
  readonly program: Program;
  /** What it reads, counted through inputs, outputs and reductions of the forward pass. */
  readonly reads: readonly number[];
  /** The reductions among them. */
  readonly rows: readonly number[];
  /** Whether it is a value per row, for each input; undefined where no gradient reaches it. */
  readonly results: readonly (boolean | undefined)[];
  /** The input whose gradient is written over the incoming one that was to spare. */
  readonly over: number | undefined;
}

/**
 * Derives the gradient of a row op as one kernel. Nothing is folded again that the forward pass has folded: its reductions are
 * read, one number per row. Its outputs are read in place of functions that cost more than memory.
 */
export function rowGradient(forward: RowProgram, { still, wanted, given, spare }: GradientNeed): RowGradient {
  const { name, stages, dtypes, paramDtypes, outputs, folds } = forward;
  const [firstOutput, firstRow] = [dtypes.length, dtypes.length + outputs.length];
  const firstSeed = firstRow + folds.length;
  // Incoming gradients are numbered as if all outputs had one.
  const areOutputsStill = outputs.map(({ perRow }) => perRow);
  const isStill = [...still, ...areOutputsStill, ...folds.map(() => true), ...areOutputsStill];
  const stillValues = stillAlong((operand) => isStill[operand]!);
  const recalled = storedValues(forward, stillValues);
  const derived = differentiateStages(stages, {
    seed: (operand) => (given[operand - firstOutput] ? load(firstSeed + operand - firstOutput) : undefined),
    still: stillValues,
    recall: (e) => replace(e, recalled),
  });

  const firstResult = firstSeed + outputs.length;
  const [element, perRow]: [Write[], Write[]] = [[], []];
  const results = dtypes.map((dtype, i) => {
    const leaf = load(i, dtype);
    const expr = wanted[i] ? (still[i] ? derived.perRow(leaf) : derived.element(leaf)) : undefined;
    if (expr) (still[i] ? perRow : element).push({ operand: firstResult + i, expr });
    return expr && still[i];
  });
  const kept = (e: Expr): Expr | undefined =>
    e.op === "row" && e.value < folds.length ? load(firstRow + e.value, e.dtype) : undefined;
  const needed = liveStages(changed([...derived.reduces, ...storeStages(element, perRow)], kept));
  const loads = loadsIn(needed.flatMap(stageExpressions));
  const reads = Array.from({ length: firstSeed }, (_, i) => i).filter((i) => loads.has(i));
  // What is costly waits between passes where the result will be, on the CPU: so nothing may still be read there.
  const isCheap = !needed.flatMap(stageExpressions).some(isCostly);
  const first = results.indexOf(false);
  const over = Math.min(spare, first) >= 0 && isCheap ? first : undefined;
  const sources = [...dtypes, ...outputs.map(({ dtype }) => dtype), ...folds];
  const seeds = given.flatMap((isGiven, i) => (isGiven ? [firstSeed + i] : []));
  const written = results.flatMap((result, i) => (result === undefined || i === over ? [] : [firstResult + i]));
  const place = new Map([...reads, ...seeds, ...written].map((operand, i) => [operand, i]));
  const target = over === undefined ? undefined : firstSeed + spare;
  if (target !== undefined) place.set(firstResult + over!, place.get(target)!);
  const program = makeProgram(`${name}Backward`, {
    operands: [
      ...reads.map((i) => readOperand(sources[i]!)),
      ...seeds.map((operand) => (operand === target ? updateOperand : readOperand)("f32")),
      ...written.map(() => writeOperand("f32")),
    ],
    params: [...paramDtypes, "f32"],
    stages: changed(needed, (e) => (e.op === "load" ? load(place.get(e.value)!, e.dtype) : undefined)).map((stage) =>
      stage.kind === "reduce"
        ? stage
        : { ...stage, writes: stage.writes.map((write) => ({ ...write, operand: place.get(write.operand)! })) },
    ),
  });
  return { program, reads, rows: reads.flatMap((i) => (i < firstRow ? [] : [i - firstRow])), results, over };
}

/** Stages that store once per row, and then for each element. */
export function storeStages(element: readonly Write[], perRow: readonly Write[]): Stage[] {
  const once = { kind: "store", perRow: true, writes: perRow } as const;
  const each = { kind: "store", perRow: false, writes: element } as const;
  return [once, each].filter(({ writes }) => writes.length > 0);
}

const isCostly = (e: Expr): boolean => postorder([e]).some(({ op }) => COSTLY.has(op));

/**
 * Values that can be had from outputs: what was stored per row; costly outputs, and what they are quotients of, by something
 * that stands still.
 */
function storedValues({ stages, outputs, dtypes }: RowProgram, still: Still): Map<Expr, Expr> {
  const known = new Map<Expr, Expr>();
  for (const stage of stages) {
    if (stage.kind !== "store") continue;
    for (const { operand, expr } of stage.writes) {
      if (!stage.perRow && !isCostly(expr)) continue;
      const stored = load(operand, outputs[operand - dtypes.length]!.dtype);
      known.set(expr, stored);
      const [dividend, divisor] = expr.args;
      if (expr.op === "div" && still(divisor!) && isCostly(dividend!)) known.set(dividend!, stored.mul(divisor!));
    }
  }
  return known;
}

/** Stages with other expressions, as `rewrite` makes them. */
const changed = (stages: readonly Stage[], rule: (e: Expr) => Expr | undefined): Stage[] =>
  stages.map((stage) =>
    stage.kind === "reduce"
      ? { ...stage, expr: rewrite(stage.expr, rule) }
      : { ...stage, writes: stage.writes.map((write) => ({ ...write, expr: rewrite(write.expr, rule) })) },
  );

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
  const isLive = (stage: Stage): boolean => stage.kind !== "reduce" || live.has(reduces.indexOf(stage));
  return changed(stages.filter(isLive), (e) => (e.op === "row" ? row(position.get(e.value)!, e.dtype) : undefined));
}
