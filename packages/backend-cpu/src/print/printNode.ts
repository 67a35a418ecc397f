import { type Expr, postorder } from "@dfine/tensor/kernel";
import type { Assembler, Local } from "../wasm/assembler.ts";
import { isFusable, lower } from "./lower.ts";
import { LANES } from "./nest.ts";
import { EXTREMA_OF_CONSTANT, printOperation, printUniformShift } from "./operations.ts";

export interface NodePlace {
  /** Pushes an argument. */
  push(arg: Expr): void;
  /** Lanes that count. */
  readonly width: number;
  /** Whether all lanes of an argument are alike. */
  isUniform(arg: Expr): boolean;
}

/** Pushes the value of a number or of an operation, as vectors. */
export function printNode(f: Assembler, e: Expr, { push, width, isUniform }: NodePlace): void {
  if (e.op === "const") {
    if (e.dtype === "f32") f.f32x4(e.value);
    else f.i32x4(e.dtype === "bool" ? -e.value : e.value);
    return;
  }
  if (e.op === "select") {
    printSelect(f, e, push);
    return;
  }
  const [a, b] = e.args as [Expr, Expr];
  const product = e.op === "add" && e.dtype === "f32" && f.options.relaxed ? e.args.findIndex(isFusable) : -1;
  if (product >= 0) {
    for (const factor of e.args[product]!.args) push(factor);
    push(e.args[1 - product]!);
    f.op("f32x4.relaxed_madd");
    return;
  }
  const extremum = e.dtype === "f32" && (e.op === "min" || e.op === "max") ? EXTREMA_OF_CONSTANT[e.op] : undefined;
  const bound = extremum ? e.args.findIndex((arg) => arg.op === "const" && !Number.isNaN(arg.value)) : -1;
  if (extremum && bound >= 0) {
    push(e.args[1 - bound]!);
    push(e.args[bound]!);
    f.op(extremum);
    return;
  }
  if ((e.op === "shl" || e.op === "shr") && isUniform(b)) {
    push(a);
    if (b.op === "const") f.i32(b.value);
    else {
      push(b);
      f.lane("i32x4.extract_lane", 0);
    }
    printUniformShift(f, e.op);
    return;
  }
  for (const arg of e.args) push(arg);
  printOperation(f, e, width);
}

/** Zero on one side makes a mask of the condition. */
function printSelect(f: Assembler, e: Expr, push: (arg: Expr) => void): void {
  const [condition, whenTrue, whenFalse] = e.args as [Expr, Expr, Expr];
  const zero = (x: Expr): boolean => x.op === "const" && Object.is(x.value, 0);
  if (zero(whenFalse)) {
    push(whenTrue);
    push(condition);
    f.op("v128.and");
  } else if (zero(whenTrue)) {
    push(whenFalse);
    push(condition);
    f.op("v128.andnot");
  } else {
    push(whenTrue);
    push(whenFalse);
    push(condition);
    f.op("v128.bitselect");
  }
}

/**
 * Pushes the value of an expression whose leaves are `row(i)`, found in `leaves[i]`, and numbers: for hand-written kernels
 * that end with one.
 */
export function printExpression(f: Assembler, expression: Expr, leaves: readonly Local[]): void {
  const root = lower(expression);
  const uses = new Map<Expr, number>();
  for (const { args } of postorder([root])) for (const arg of args) uses.set(arg, (uses.get(arg) ?? 0) + 1);
  const kept = new Map<Expr, Local>();
  const push = (e: Expr): void => {
    const known = e.op === "row" ? leaves[e.value] : kept.get(e);
    if (known) {
      f.get(known);
      return;
    }
    printNode(f, e, { push, width: LANES, isUniform: (arg) => arg.op === "const" });
    if (e.op === "const" || uses.get(e) === 1 || e === root) return;
    const local = f.local("v128");
    kept.set(e, local);
    f.tee(local);
  };
  push(root);
  f.release(...kept.values());
}
