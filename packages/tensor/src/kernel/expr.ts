import type { Dtype } from "../dtype.ts";
import { DtypeError } from "../errors.ts";
import type { BinaryOp, ExprOp, UnaryOp } from "./exprOps.ts";

/** An expression, or a number that becomes a constant of the other side's dtype. */
export type ExprLike = Expr | number;

/**
 * One scalar value of a kernel. Nodes are hash-consed: equal subexpressions are the same object.
 *
 * Leaves: `const` (value), `param` (run-time scalar number `value`), `axis` (i32 index along kernel axis `value`),
 * `load` (element of operand `value`: the one its walk points at, or with one argument the element at that i32 index),
 * `row` (result of reduce stage `value`).
 *
 * Meaning of the rest, on every backend: `min` and `max` propagate NaN; `rem` and integer `div` truncate; `lt` and `eq`
 * give bool and are false for NaN; `shr` is logical, shift counts are taken modulo 32; i32 arithmetic wraps;
 * `cast` f32→i32 truncates and saturates (NaN gives 0); `bitcast` reinterprets 32 bits and occurs only after lowering.
 */
export class Expr {
  readonly id: number;
  readonly op: ExprOp;
  readonly dtype: Dtype;
  readonly args: readonly Expr[];
  readonly value: number;

  constructor(op: ExprOp, dtype: Dtype, options: { args: readonly Expr[]; value: number; id: number }) {
    this.op = op;
    this.dtype = dtype;
    this.args = options.args;
    this.value = options.value;
    this.id = options.id;
  }

  /** this + other. */
  add(other: ExprLike): Expr {
    const b = lift(other, this);
    if (isConst(b, 0)) return this;
    if (isConst(this, 0)) return b;
    return binary("add", this, b);
  }
  /** this − other. */
  sub(other: ExprLike): Expr {
    const b = lift(other, this);
    return isConst(b, 0) ? this : binary("sub", this, b);
  }
  /** this · other. */
  mul(other: ExprLike): Expr {
    const b = lift(other, this);
    if (isConst(b, 1)) return this;
    if (isConst(this, 1)) return b;
    return binary("mul", this, b);
  }
  /** this / other; truncates for i32. */
  div(other: ExprLike): Expr {
    const b = lift(other, this);
    return isConst(b, 1) ? this : binary("div", this, b);
  }
  /** Remainder of truncating division, i32. */
  rem(other: ExprLike): Expr {
    return binary("rem", this, lift(other, this));
  }
  /** The smaller; NaN if either is. */
  min(other: ExprLike): Expr {
    return binary("min", this, lift(other, this));
  }
  /** The larger; NaN if either is. */
  max(other: ExprLike): Expr {
    return binary("max", this, lift(other, this));
  }
  /** −this. */
  neg(): Expr {
    return this.mul(-1);
  }
  /** Largest whole number not above it. */
  floor(): Expr {
    return unary("floor", this);
  }
  /** |this|. */
  abs(): Expr {
    return unary("abs", this);
  }
  /** √this. */
  sqrt(): Expr {
    return unary("sqrt", this);
  }
  /** eˣ. */
  exp(): Expr {
    return unary("exp", this);
  }
  /** Natural logarithm. */
  log(): Expr {
    return unary("log", this);
  }
  /** Hyperbolic tangent. */
  tanh(): Expr {
    return unary("tanh", this);
  }
  /** 1 / (1 + e⁻ˣ): a node of its own, because the quotient's derived gradient overflows where x is very negative. */
  sigmoid(): Expr {
    return unary("sigmoid", this);
  }
  /** Error function. */
  erf(): Expr {
    return unary("erf", this);
  }
  /** Whether it is NaN, as bool. */
  isNaN(): Expr {
    return node("isnan", "bool", [this]);
  }
  /** Whether it is neither NaN nor infinite, as bool. */
  isFinite(): Expr {
    return node("isfinite", "bool", [this]);
  }
  /** this < other, as bool; false for NaN. */
  lt(other: ExprLike): Expr {
    return comparison("lt", this, lift(other, this));
  }
  /** this > other, as bool; false for NaN. */
  gt(other: ExprLike): Expr {
    return comparison("lt", lift(other, this), this);
  }
  /** Not `le`'s complement: both are false for NaN. */
  le(other: ExprLike): Expr {
    const b = lift(other, this);
    return this.lt(b).or(this.eq(b));
  }
  /** this ≥ other, as bool; false for NaN. */
  ge(other: ExprLike): Expr {
    return lift(other, this).le(this);
  }
  /** this = other, as bool; false for NaN. */
  eq(other: ExprLike): Expr {
    return comparison("eq", this, lift(other, this));
  }
  /** Bitwise and, of i32 or bool. */
  and(other: ExprLike): Expr {
    return binary("and", this, lift(other, this));
  }
  /** Bitwise or, of i32 or bool. */
  or(other: ExprLike): Expr {
    return binary("or", this, lift(other, this));
  }
  /** Bitwise exclusive or, of i32 or bool. */
  xor(other: ExprLike): Expr {
    return binary("xor", this, lift(other, this));
  }
  /** Negation of a bool. */
  not(): Expr {
    return this.xor(constant(1, "bool"));
  }
  /** Shift to the left. */
  shl(count: ExprLike): Expr {
    return binary("shl", this, lift(count, this));
  }
  /** Logical shift: zeros come in from the left. */
  shr(count: ExprLike): Expr {
    return binary("shr", this, lift(count, this));
  }
  /** `this ? whenTrue : whenFalse`; both sides are evaluated. */
  select(whenTrue: ExprLike, whenFalse: ExprLike): Expr {
    const like = whenTrue instanceof Expr ? whenTrue : whenFalse instanceof Expr ? whenFalse : constant(0);
    const a = lift(whenTrue, like);
    const b = lift(whenFalse, like);
    if (this.dtype !== "bool") throw new DtypeError(`select: the condition is ${this.dtype}; compare it first`);
    if (a.dtype !== b.dtype) throw new DtypeError(`select: branches are ${a.dtype} and ${b.dtype}; cast one of them`);
    if (a === b) return a;
    if (this.op === "const") return this.value ? a : b;
    return node("select", a.dtype, [this, a, b]);
  }
  /** The value in another dtype; f32 → i32 truncates and saturates. */
  cast(to: Dtype): Expr {
    if (to === this.dtype) return this;
    if (to === "bool") return this.eq(0).not();
    return node("cast", to, [this]);
  }
  /** The same 32 bits as another dtype. */
  bitcast(to: Dtype): Expr {
    return to === this.dtype ? this : node("bitcast", to, [this]);
  }
}

const interned = new Map<string, Expr>();

/** The one node with this content. */
export function node(op: ExprOp, dtype: Dtype, args: readonly Expr[] = [], value = 0): Expr {
  let key = `${op}:${dtype}:${Object.is(value, -0) ? "-0" : value}`;
  for (const arg of args) key += `,${arg.id}`;
  let found = interned.get(key);
  if (found === undefined) {
    found = new Expr(op, dtype, { args, value, id: interned.size });
    interned.set(key, found);
  }
  return found;
}

const isConst = (e: Expr, value: number): boolean => e.op === "const" && Object.is(e.value, value);
const lift = (x: ExprLike, like: Expr): Expr => (typeof x === "number" ? constant(x, like.dtype) : x);

function unary(op: UnaryOp, x: Expr): Expr {
  if (x.dtype !== "f32") throw new DtypeError(`${op}: takes f32, got ${x.dtype}; cast it first`);
  return node(op, "f32", [x]);
}
const INTEGER_ONLY: readonly ExprOp[] = ["shl", "shr", "rem"];
const BITWISE: readonly ExprOp[] = ["and", "or", "xor"];

function binary(op: BinaryOp, a: Expr, b: Expr): Expr {
  const fits = BITWISE.includes(op)
    ? a.dtype !== "f32"
    : INTEGER_ONLY.includes(op)
      ? a.dtype === "i32"
      : a.dtype !== "bool";
  if (a.dtype !== b.dtype || !fits) throw new DtypeError(`${op}: cannot combine ${a.dtype} and ${b.dtype}; cast first`);
  return node(op, a.dtype, [a, b]);
}
function comparison(op: "lt" | "eq", a: Expr, b: Expr): Expr {
  if (a.dtype !== b.dtype) throw new DtypeError(`${op}: cannot compare ${a.dtype} with ${b.dtype}; cast first`);
  return node(op, "bool", [a, b]);
}

/** A number known when the kernel is built. */
export const constant = (value: number, dtype: Dtype = "f32"): Expr => node("const", dtype, [], value);
/** A number given at launch. */
export const param = (index: number, dtype: Dtype = "f32"): Expr => node("param", dtype, [], index);
/** The i32 index along a kernel axis. */
export const axisIndex = (axis: number): Expr => node("axis", "i32", [], axis);
/** The element of an operand that its walk points at. */
export const load = (operand: number, dtype: Dtype = "f32"): Expr => node("load", dtype, [], operand);
/** Element of an indexed operand. Backends clamp the index, so an unselected branch may compute one out of range. */
export const loadAt = (operand: number, index: Expr, dtype: Dtype = "f32"): Expr =>
  node("load", dtype, [index], operand);
/** The result of a reduce stage. */
export const row = (stage: number, dtype: Dtype = "f32"): Expr => node("row", dtype, [], stage);

/** Every node reachable from `roots`, arguments before users, each once. */
export function postorder(roots: readonly Expr[]): Expr[] {
  const seen = new Set<Expr>();
  const order: Expr[] = [];
  const visit = (e: Expr): void => {
    if (seen.has(e)) return;
    seen.add(e);
    e.args.forEach(visit);
    order.push(e);
  };
  roots.forEach(visit);
  return order;
}

/** Rebuilds a DAG from its leaves, letting `rule` replace any node. */
export function rewrite(root: Expr, rule: (e: Expr) => Expr | undefined): Expr {
  const done = new Map<Expr, Expr>();
  for (const e of postorder([root])) {
    const args = e.args.map((arg) => done.get(arg)!);
    const rebuilt = args.every((arg, i) => arg === e.args[i]) ? e : node(e.op, e.dtype, args, e.value);
    done.set(e, rule(rebuilt) ?? rebuilt);
  }
  return done.get(root)!;
}

/** Canonical text of expressions: equal text means equal meaning, whatever was built before. */
export function expressionText(roots: readonly Expr[]): string {
  const number = new Map<Expr, number>();
  const lines = postorder(roots).map((e, i) => {
    number.set(e, i);
    const value = Object.is(e.value, -0) ? "-0" : e.value;
    return `${e.op}.${e.dtype}${e.op === "const" || e.args.length === 0 || e.op === "load" ? value : ""}(${e.args.map((a) => number.get(a)).join(" ")})`;
  });
  return `${lines.join(";")}>${roots.map((r) => number.get(r)).join(" ")}`;
}
