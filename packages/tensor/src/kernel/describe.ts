import { type Expr, leafName } from "./expr.ts";
import type { ExprOp } from "./exprOps.ts";
import type { Kernel, Stage, Write } from "./kernel.ts";
import type { Program } from "./program.ts";

const SYMBOLS: Readonly<Partial<Record<ExprOp, string>>> = {
  ...{ add: "+", sub: "−", mul: "·", div: "/", rem: "%", lt: "<", eq: "=" },
  ...{ and: "&", or: "|", xor: "^", shl: "<<", shr: ">>" },
};

function text(e: Expr): string {
  const args = e.args.map(text);
  const [first] = args;
  if (e.op === "const") return `${e.value}`;
  if (e.op === "load") return first === undefined ? `x${e.value}` : `x${e.value}[${first}]`;
  if (e.op === "select") return `(${first} ? ${args[1]} : ${args[2]})`;
  const symbol = SYMBOLS[e.op];
  if (symbol) return `(${args.join(` ${symbol} `)})`;
  return leafName(e) ?? `${e.op === "cast" ? e.dtype : e.op}(${args.join(", ")})`;
}

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
