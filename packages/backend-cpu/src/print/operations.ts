import { type Expr, type Operation, type OperationTable, ruleFor } from "@dfine/tensor/kernel";
import type { Assembler } from "../wasm/assembler.ts";
import type { Op } from "../wasm/opcodes.ts";
import type { LoweredOp } from "./lower.ts";

/** Instructions, or what puts them down. */
type Print = readonly Op[] | ((f: Assembler, e: Expr, width: number) => void);

/** Vector instructions by op and element type; bools are masks, so true is −1. Some are printed as others (`lower`). */
const OPERATIONS: OperationTable<Print, Exclude<Operation, LoweredOp | "select">> = {
  add: { f32: ["f32x4.add"], i32: ["i32x4.add"] },
  sub: { f32: ["f32x4.sub"], i32: ["i32x4.sub"] },
  mul: { f32: ["f32x4.mul"], i32: ["i32x4.mul"] },
  div: { f32: ["f32x4.div"], i32: printDivision },
  rem: { i32: printDivision },
  min: { f32: ["f32x4.min"], i32: ["i32x4.min_s"] },
  max: { f32: ["f32x4.max"], i32: ["i32x4.max_s"] },
  lt: { f32: ["f32x4.lt"], i32: ["i32x4.lt_s"], bool: ["i32x4.gt_s"] },
  eq: { f32: ["f32x4.eq"], i32: ["i32x4.eq"], bool: ["i32x4.eq"] },
  and: { i32: ["v128.and"], bool: ["v128.and"] },
  or: { i32: ["v128.or"], bool: ["v128.or"] },
  xor: { i32: ["v128.xor"], bool: ["v128.xor"] },
  shl: { i32: printShift },
  shr: { i32: printShift },
  floor: { f32: ["f32x4.floor"] },
  abs: { f32: ["f32x4.abs"] },
  sqrt: { f32: ["f32x4.sqrt"] },
  isNaN: {
    f32: (f) => {
      const x = f.local("v128");
      f.tee(x).get(x).op("f32x4.ne").release(x);
    },
  },
  isFinite: { f32: (f) => f.op("f32x4.abs").f32x4(Number.POSITIVE_INFINITY).op("f32x4.lt") },
  cast: {
    f32: ["i32x4.trunc_sat_f32x4_s"],
    i32: ["f32x4.convert_i32x4_s"],
    bool: (f, e) => (e.dtype === "f32" ? f.f32x4(1) : f.i32x4(1)).op("v128.and"),
  },
  bitcast: { f32: [], i32: [] },
};

/** One instruction for extrema against a number: it keeps NaN of the other operand, which lies deeper. */
export const EXTREMA_OF_CONSTANT: Readonly<Record<"min" | "max", Op>> = { min: "f32x4.pmin", max: "f32x4.pmax" };

/** Prints an operation whose arguments lie on the stack. */
export function printOperation(f: Assembler, e: Expr, width: number): void {
  const print = ruleFor(OPERATIONS, e);
  if (typeof print === "function") print(f, e, width);
  else f.op(...print);
}

/** Applies scalar code to each lane of the two i32 vectors on the stack; the code finds a and b in locals. */
function byLane(
  f: Assembler,
  width: number,
  code: (a: ReturnType<Assembler["local"]>, b: ReturnType<Assembler["local"]>) => void,
): void {
  const [as, bs, result] = [f.local("v128"), f.local("v128"), f.local("v128")];
  const [a, b] = [f.local("i32"), f.local("i32")];
  f.set(bs).set(as);
  for (let lane = 0; lane < width; lane++) {
    if (width > 1) f.get(lane === 0 ? as : result);
    f.get(as).lane("i32x4.extract_lane", lane).set(a);
    f.get(bs).lane("i32x4.extract_lane", lane).set(b);
    code(a, b);
    if (width > 1) f.lane("i32x4.replace_lane", lane).set(result);
  }
  if (width > 1) f.get(result);
  else f.op("i32x4.splat");
  f.release(as, bs, result, a, b);
}

/** Truncating i32 division and remainder. Like `| 0` in JavaScript: by 0 gives 0, and −2³¹ / −1 wraps. */
function printDivision(f: Assembler, e: Expr, width: number): void {
  const divisor = e.args[1]!;
  const safe = divisor.op === "const" && divisor.value > 0;
  const division = e.op === "div" ? "i32.div_s" : "i32.rem_s";
  byLane(f, width, (a, b) => {
    if (safe) {
      f.get(a, b).op(division);
      return;
    }
    // Divisors 0 and −1 are the two that could trap: x / −1 is −x, everything else about them is 0.
    const special = f.local("i32");
    if (e.op === "div") f.i32(0).get(a).op("i32.sub").get(b).op("i32.and");
    else f.i32(0);
    f.get(a).i32(1).get(b).get(b).i32(1).op("i32.add").i32(2).op("i32.lt_u").tee(special).select();
    f.op(division).get(special).select().release(special);
  });
}

/** Shift counts are taken modulo 32, as the instructions do. */
function printShift(f: Assembler, e: Expr, width: number): void {
  byLane(f, width, (a, b) => f.get(a, b).op(e.op === "shl" ? "i32.shl" : "i32.shr_u"));
}

/** Shifts the vector on the stack by one count for all lanes. */
export function printUniformShift(f: Assembler, op: "shl" | "shr"): void {
  f.op(op === "shl" ? "i32x4.shl" : "i32x4.shr_u");
}

/** 0, 1, 2, 3: positions of the lanes. */
export const pushLanePositions = (f: Assembler): Assembler => f.i32x4(0, 1, 2, 3);
