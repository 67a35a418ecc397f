import type { Expr } from "./expr.ts";
import type { ExprOp } from "./exprOps.ts";
import type { Kernel, Stage, Write } from "./kernel.ts";
import type { Program } from "./program.ts";

type Text = (e: Expr, args: readonly string[]) => string;

const infix =
  (symbol: string): Text =>
  (_, args) =>
    `(${args.join(` ${symbol} `)})`;
const call: Text = (e, args) => `${e.op}(${args.join(", ")})`;

const TEXTS: Readonly<Record<ExprOp, Text>> = {
  const: (e) => `${e.value}`,
  param: (e) => `c${e.value}`,
  axis: (e) => `i${e.value}`,
  row: (e) => `r${e.value}`,
  load: (e, [index]) => (index === undefined ? `x${e.value}` : `x${e.value}[${index}]`),
  select: (_, [condition, a, b]) => `(${condition} ? ${a} : ${b})`,
  cast: (e, [x]) => `${e.dtype}(${x})`,
  add: infix("+"),
  sub: infix("−"),
  mul: infix("·"),
  div: infix("/"),
  rem: infix("%"),
  lt: infix("<"),
  eq: infix("="),
  and: infix("&"),
  or: infix("|"),
  xor: infix("^"),
  shl: infix("<<"),
  shr: infix(">>"),
  ...{ min: call, max: call, floor: call, abs: call, sqrt: call, exp: call, log: call, tanh: call, sigmoid: call },
  ...{ erf: call, isNaN: call, isFinite: call, bitcast: call },
};

const text = (e: Expr): string => TEXTS[e.op](e, e.args.map(text));

const writeText = ({ operand, index, expr }: Write): string =>
  `x${operand}${index ? `[${text(index)}] +=` : " ="} ${text(expr)}`;

const stageLine = (stage: Stage, row: number): string =>
  stage.kind === "reduce"
    ? `r${row} = ${stage.op} ${text(stage.expr)}`
    : `store${stage.perRow ? " per row" : ""} ${stage.writes.map(writeText).join(", ")}`;

/** A kernel or program as readable text, for traces, errors and snapshots. */
export function describe(kernel: Kernel | Program): string {
  const axes = "axes" in kernel ? ` over ${kernel.axes.join(" ")}` : "";
  let reduces = 0;
  const lines = kernel.stages.map((stage) => stageLine(stage, stage.kind === "reduce" ? reduces++ : 0));
  return `${kernel.name}${axes}\n${lines.map((line) => `  ${line}`).join("\n")}`;
}
