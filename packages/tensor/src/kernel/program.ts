import type { Dtype } from "../dtype.ts";
import { type Expr, expressionText, postorder, row } from "./expr.ts";
import { type Kernel, type Operand, type ReduceStage, type Stage, stageExpressions } from "./kernel.ts";

/** A tensor that a program touches, however it is walked. */
export type ProgramOperand = Omit<Operand, "walk">;

/** A kernel before it is laid over concrete axes: what an op means, for every shape and layout. */
export interface Program extends Omit<Kernel, "axes" | "operands"> {
  /** No other program's. */
  readonly number: number;
  readonly operands: readonly ProgramOperand[];
  /** Index arithmetic refers to axes by number, so they may be neither merged nor reordered. */
  readonly usesAxes: boolean;
}

let programs = 0;

/** A program of any stages; its key follows from what it does. */
export function makeProgram(
  name: string,
  { operands, params, stages }: Pick<Program, "operands" | "params" | "stages">,
): Program {
  const roots = stages.flatMap(stageExpressions);
  const key = [
    name,
    operands.map((o) => `${o.dtype}.${o.mode}${o.indexed ? ".indexed" : ""}`).join(),
    params.join(),
    stages.map(stageText).join(),
    expressionText(roots),
  ].join("|");
  const number = programs++;
  return { name, number, key, operands, params, stages, usesAxes: postorder(roots).some((e) => e.op === "axis") };
}

/** A program that evaluates expressions of walked loads and stores them, element by element. */
export function mapProgram(
  name: string,
  { inputs, params, outputs }: { inputs: readonly Dtype[]; params: readonly Dtype[]; outputs: readonly Expr[] },
): Program {
  const writes = outputs.map((expr, i) => ({ operand: inputs.length + i, expr }));
  return makeProgram(name, {
    operands: [...inputs.map(readOperand), ...outputs.map((e) => writeOperand(e.dtype))],
    params,
    stages: [{ kind: "store", perRow: false, writes }],
  });
}

/** How an expression is folded. */
export type Fold = readonly [op: ReduceStage["op"], expr: Expr];

/** A program that folds expressions of walked loads along each row, and stores what each fold gives. */
export function foldProgram(
  name: string,
  { inputs, params = [], folds }: { inputs: readonly Dtype[]; params?: readonly Dtype[]; folds: readonly Fold[] },
): Program {
  const writes = folds.map(([, { dtype }], i) => ({ operand: inputs.length + i, expr: row(i, dtype) }));
  return makeProgram(name, {
    operands: [...inputs.map(readOperand), ...folds.map(([, { dtype }]) => writeOperand(dtype))],
    params,
    stages: [
      ...folds.map(([op, expr]): Stage => ({ kind: "reduce", op, expr })),
      { kind: "store", perRow: true, writes },
    ],
  });
}

/** An operand that is only read. */
export const readOperand = (dtype: Dtype): ProgramOperand => ({ dtype, mode: "read", indexed: false });
/** An operand that is read at computed positions. */
export const indexedOperand = (dtype: Dtype): ProgramOperand => ({ dtype, mode: "read", indexed: true });
/** An operand that is only written. */
export const writeOperand = (dtype: Dtype): ProgramOperand => ({ dtype, mode: "write", indexed: false });
/** An operand that is read and written in place. */
export const updateOperand = (dtype: Dtype): ProgramOperand => ({ dtype, mode: "update", indexed: false });

const stageText = (stage: Stage): string =>
  stage.kind === "reduce"
    ? `reduce.${stage.op}`
    : `store${stage.perRow ? ".row" : ""}${stage.writes.map((w) => `.${w.operand}${w.index ? "+" : ""}`).join("")}`;
