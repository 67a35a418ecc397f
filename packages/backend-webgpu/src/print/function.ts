import { type Expr, postorder } from "@dfine/tensor/kernel";
import type { Width } from "./library.ts";
import { printConstant, printOperation, typeOf } from "./operations.ts";

/**
 * A WGSL function of one float or of four, from an expression whose leaves are `row(i)`, its parameter i, and numbers: for
 * hand-written kernels that end with one.
 */
export function printFunction(
  name: string,
  expression: Expr,
  { parameters, width }: { parameters: number; width: Width },
): string {
  const type = typeOf("f32", width);
  const names = new Map<Expr, string>();
  const lines: string[] = [];
  for (const e of postorder([expression])) {
    if (e.op === "row") names.set(e, `r${e.value}`);
    else if (e.op === "const") names.set(e, `${typeOf(e.dtype, width)}(${printConstant(e.value, e.dtype)})`);
    else {
      const args = e.args.map((arg) => names.get(arg)!);
      names.set(e, `v${lines.length}`);
      lines.push(`let v${lines.length} = ${printOperation(e, args, width)};`);
    }
  }
  const list = Array.from({ length: parameters }, (_, i) => `r${i}: ${type}`).join(", ");
  return `fn ${name}(${list}) -> ${type} { ${lines.join(" ")} return ${names.get(expression)}; }`;
}
