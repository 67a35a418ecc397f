import type { Expr } from "./expr.ts";
import type { Kernel, Stage } from "./kernel.ts";
import type { Program } from "./program.ts";

const INFIX: Partial<Record<Expr["op"], string>> = {
  add: "+",
  sub: "−",
  mul: "·",
  div: "/",
  rem: "%",
  lt: "<",
  eq: "=",
  and: "&",
  or: "|",
  xor: "^",
  shl: "<<",
  shr: ">>",
};

function text(e: Expr): string {
  const args = e.args.map(text);
  switch (e.op) {
    case "const":
      return `${e.value}`;
    case "param":
      return `c${e.value}`;
    case "axis":
      return `i${e.value}`;
    case "row":
      return `r${e.value}`;
    case "load":
      return args.length === 0 ? `x${e.value}` : `x${e.value}[${args[0]}]`;
    case "select":
      return `(${args[0]} ? ${args[1]} : ${args[2]})`;
    case "cast":
      return `${e.dtype}(${args[0]})`;
    default: {
      const infix = INFIX[e.op];
      return infix ? `(${args.join(` ${infix} `)})` : `${e.op}(${args.join(", ")})`;
    }
  }
}

function stageLine(stage: Stage, row: number): string {
  switch (stage.kind) {
    case "reduce":
      return `r${row} = ${stage.op} ${text(stage.expr)}`;
    case "store":
      return `store${stage.perRow ? " per row" : ""} ${stage.writes.map((w) => `x${w.operand} = ${text(w.expr)}`).join(", ")}`;
    case "scatter":
      return `scatter x${stage.operand}[${text(stage.index)}] += ${text(stage.expr)}`;
    default:
      stage satisfies never;
      throw new Error("unreachable: unknown stage");
  }
}

/** A kernel or program as readable text, for traces, errors and snapshots. */
export function describe(kernel: Kernel | Program): string {
  const axes = "axes" in kernel ? ` over ${kernel.axes.join(" ")}` : "";
  let reduces = 0;
  const lines = kernel.stages.map((stage) => stageLine(stage, stage.kind === "reduce" ? reduces++ : 0));
  return `${kernel.name}${axes}\n${lines.map((line) => `  ${line}`).join("\n")}`;
}
