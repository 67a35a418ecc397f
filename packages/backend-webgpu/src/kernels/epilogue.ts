import type { Conv2dActAttrs } from "@dfine/tensor";
import {
  type Activation,
  convEpilogue,
  type Expr,
  type OverrideCall,
  postorder,
  row,
  type View,
} from "@dfine/tensor/kernel";
import { typeOf, type Width } from "../print/library.ts";
import { printConstant, printOperation } from "../print/operations.ts";

/** What becomes of a convolution's sums before they are stored: `convEpilogue` of them and of what these views hold. */
export interface Epilogue {
  readonly activation: Activation;
  /** By name, as kernels bind them, and in their order: bias, then perhaps factor; then perhaps scale and shift. */
  readonly views: Readonly<Partial<Record<Operand, View>>>;
}

const OPERANDS = ["bias", "factor", "scale", "shift"] as const;
type Operand = (typeof OPERANDS)[number];
/** Of which there is one per output channel. */
const PER_CHANNEL: readonly string[] = ["bias", "factor"] satisfies readonly Operand[];

export const epilogueOf = ({ inputs, attrs }: OverrideCall<Conv2dActAttrs>): Epilogue => ({
  activation: attrs.activation,
  views: Object.fromEntries(inputs.slice(2).map((view, i) => [OPERANDS[i]!, view])),
});

/** Ends the name of a kernel that has one. */
export const epilogueName = (epilogue: Epilogue | undefined): string =>
  epilogue ? `, ${epilogue.activation} of ${Object.keys(epilogue.views).join(" ")}` : "";

export const epilogueBindings = (epilogue: Epilogue | undefined): Record<string, "read f32"> =>
  Object.fromEntries(Object.keys(epilogue?.views ?? {}).map((name) => [name, "read f32"]));

/**
 * An epilogue in a kernel's text, for variables of one sum or of four: functions, and statements that replace sums of one
 * channel, an i32, by what is stored. Empty where there is none.
 */
export function printEpilogue(
  epilogue: Epilogue | undefined,
  width: Width,
): { code: string; finish: (channel: string, sums: readonly string[]) => string } {
  if (!epilogue) return { code: "", finish: () => "" };
  const names = Object.keys(epilogue.views);
  const [bias, ...rest] = names.map((_, i) => row(1 + i));
  const expression = convEpilogue(epilogue.activation, [row(0), bias!, ...rest]);
  const load = (name: string): string =>
    `${typeOf("f32", width)}(${name}[u.o_${name}${PER_CHANNEL.includes(name) ? " + channel" : ""}])`;
  const args = names.map((_, i) => `r${1 + i}`);
  return {
    code: printFinish(expression, 1 + names.length, width),
    finish: (channel, sums) => `{
    let channel = ${channel};
    ${names.map((name, i) => `let ${args[i]} = ${load(name)};`).join(" ")}
    ${sums.map((sum) => `${sum} = finish(${[sum, ...args].join(", ")});`).join(" ")}
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
