import { type Epilogue, type EpilogueOperand, type Expr, postorder } from "@dfine/tensor/kernel";
import { typeOf, type Width } from "../print/library.ts";
import { printConstant, printOperation } from "../print/operations.ts";
import type { BufferView } from "./wgslKernel.ts";

export const epilogueBindings = (epilogue: Epilogue | undefined): Record<string, "read f32"> =>
  Object.fromEntries((epilogue?.operands ?? []).map(({ name }) => [name, "read f32"]));

export const epilogueViews = (epilogue: Epilogue | undefined): Record<string, BufferView> =>
  Object.fromEntries((epilogue?.operands ?? []).map(({ name, view }) => [name, view]));

/** Sums that are to be finished, one or four columns side by side. */
export interface Finished {
  readonly sum: string;
  /** Index of the first column. */
  readonly column?: string;
  /** Index in C of each one's element. */
  readonly element?: (lane: number) => string;
}

/**
 * An epilogue in a kernel's text, for variables of one sum or of four: functions, and statements that replace sums of one
 * channel, an i32, by what is stored. Empty where there is none.
 */
export function printEpilogue(
  epilogue: Epilogue | undefined,
  width: Width,
): { code: string; finish: (channel: string, sums: readonly Finished[]) => string } {
  if (!epilogue) return { code: "", finish: () => "" };
  const { operands, expression } = epilogue;
  const type = typeOf("f32", width);
  const lanes = (at: (lane: number) => string): string =>
    `${type}(${Array.from({ length: width }, (_, lane) => at(lane)).join(", ")})`;
  const load = ({ name, per }: EpilogueOperand, { column, element }: Finished): string => {
    if (per === "column") return lanes((lane) => `${name}[u.o_${name} + ${column} + ${lane}]`);
    if (per === "element") return lanes((lane) => `${name}[u.o_${name} + ${element!(lane)}]`);
    return `${type}(${name}[u.o_${name}${per === "channel" ? " + channel" : ""}])`;
  };
  return {
    code: printFinish(expression, 1 + operands.length, width),
    finish: (channel, sums) => `{
    let channel = ${channel};
    ${sums
      .map((finished) => {
        const args = operands.map((operand) => load(operand, finished));
        return `${finished.sum} = finish(${[finished.sum, ...args].join(", ")});`;
      })
      .join(" ")}
  }`,
  };
}

/** WGSL's `finish`, of one float or of four: an expression whose leaves are numbers and `row(i)`, its parameter i. */
function printFinish(expression: Expr, parameters: number, width: Width): string {
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
  return `fn finish(${list}) -> ${type} { ${lines.join(" ")} return ${names.get(expression)}; }`;
}
