import { type Expr, row, type Stage } from "@dfine/tensor/kernel";
import { writeExpression } from "./expressions.ts";
import type { Graph, SizeWriter } from "./graph.ts";
import { fixed, type Size } from "./sizes.ts";
import type { Step } from "./trace.ts";

type RowStep = Extract<Step, { kind: "row" }>;

const REDUCTIONS = { sum: "ReduceSum", max: "ReduceMax", min: "ReduceMin" } as const;

/** What a softmax is taken of; undefined of other rows. */
function softmaxOf(stages: readonly Stage[]): Expr | undefined {
  const [max, sum, store, ...more] = stages;
  if (max?.kind !== "reduce" || sum?.kind !== "reduce" || store?.kind !== "store" || more.length > 0) return undefined;
  const e = max.expr.sub(row(0)).exp();
  const isSoftmax = max.op === "max" && sum.op === "sum" && sum.expr === e && !store.perRow;
  return isSoftmax && store.writes.length === 1 && store.writes[0]!.expr === e.div(row(1)) ? max.expr : undefined;
}

/** Where a row op is put down, and how its inputs are called. */
interface Place {
  readonly graph: Graph;
  readonly sizes: SizeWriter;
  readonly inputs: readonly string[];
}

/** Puts down an op along rows, by its reductions one after the other where ONNX has none of its own; gives its outputs. */
export function writeRow(step: RowStep, { graph, sizes, inputs }: Place): string[] {
  const axes = step.axes as readonly number[];
  const folds: string[] = [];
  const leaves = {
    load: (operand: number) => inputs[operand]!,
    param: (index: number, dtype: "f32" | "i32" | "bool") => sizes.number(step.numbers[index] as Size, dtype),
    row: (stage: number) => folds[stage]!,
  };
  const rank = step.outputs[0]!.shape.length;
  const isLast = axes.length === 1 && axes[0] === rank - 1;
  if (step.name === "layerNorm" && isLast)
    return [graph.node("LayerNormalization", inputs, { axis: -1, epsilon: { float: fixed(step.numbers[0]!) } })];
  const of = axes.length === 1 ? softmaxOf(step.stages) : undefined;
  if (of) return [graph.node("Softmax", [writeExpression(of, graph, leaves)], { axis: axes[0]! })];
  return step.stages.flatMap((stage) => {
    if (stage.kind === "store") return stage.writes.map(({ expr }) => writeExpression(expr, graph, leaves));
    const value = writeExpression(stage.expr, graph, leaves);
    folds.push(graph.node(REDUCTIONS[stage.op], [value, graph.ints(axes)], { keepdims: 1 }));
    return [];
  });
}
