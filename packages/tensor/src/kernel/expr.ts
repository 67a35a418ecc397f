import type { Dtype } from "../dtype.ts";
import { DtypeError } from "../errors.ts";
import { type ExprOp, OPERAND_DTYPES, type Operation, type OperationTable } from "./exprOps.ts";

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
 * `cast` f32→i32 truncates and saturates (NaN gives 0); `bitcast` reinterprets 32 bits.
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
    return operation("add", [this, b]);
  }
  /** this − other. */
  sub(other: ExprLike): Expr {
    const b = lift(other, this);
    return isConst(b, 0) ? this : operation("sub", [this, b]);
  }
  /** this · other. */
  mul(other: ExprLike): Expr {
    const b = lift(other, this);
    if (isConst(b, 1)) return this;
    if (isConst(this, 1)) return b;
    return operation("mul", [this, b]);
  }
  /** this / other; truncates for i32. */
  div(other: ExprLike): Expr {
    const b = lift(other, this);
    return isConst(b, 1) ? this : operation("div", [this, b]);
  }
  /** Remainder of truncating division, i32. */
  rem(other: ExprLike): Expr {
    return operation("rem", [this, lift(other, this)]);
  }
  /** The smaller; NaN if either is. */
  min(other: ExprLike): Expr {
    return operation("min", [this, lift(other, this)]);
  }
  /** The larger; NaN if either is. */
  max(other: ExprLike): Expr {
    return operation("max", [this, lift(other, this)]);
  }
  /** −this. */
  neg(): Expr {
    return this.mul(-1);
  }
  /** Largest whole number not above it. */
  floor(): Expr {
    return operation("floor", [this]);
  }
  /** |this|. */
  abs(): Expr {
    return operation("abs", [this]);
  }
  /** √this. */
  sqrt(): Expr {
    return operation("sqrt", [this]);
  }
  /** eˣ. */
  exp(): Expr {
    return operation("exp", [this]);
  }
  /** Natural logarithm. */
  log(): Expr {
    return operation("log", [this]);
  }
  /** Hyperbolic tangent. */
  tanh(): Expr {
    return operation("tanh", [this]);
  }
  /** 1 / (1 + e⁻ˣ): a node of its own, because the quotient's derived gradient overflows where x is very negative. */
  sigmoid(): Expr {
    return operation("sigmoid", [this]);
  }
  /** Error function. */
  erf(): Expr {
    return operation("erf", [this]);
  }
  /** Whether it is NaN, as bool. */
  isNaN(): Expr {
    return operation("isnan", [this], "bool");
  }
  /** Whether it is neither NaN nor infinite, as bool. */
  isFinite(): Expr {
    return operation("isfinite", [this], "bool");
  }
  /** this < other, as bool; false for NaN. */
  lt(other: ExprLike): Expr {
    return operation("lt", [this, lift(other, this)], "bool");
  }
  /** this > other, as bool; false for NaN. */
  gt(other: ExprLike): Expr {
    return operation("lt", [lift(other, this), this], "bool");
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
    return operation("eq", [this, lift(other, this)], "bool");
  }
  /** Bitwise and, of i32 or bool. */
  and(other: ExprLike): Expr {
    return operation("and", [this, lift(other, this)]);
  }
  /** Bitwise or, of i32 or bool. */
  or(other: ExprLike): Expr {
    return operation("or", [this, lift(other, this)]);
  }
  /** Bitwise exclusive or, of i32 or bool. */
  xor(other: ExprLike): Expr {
    return operation("xor", [this, lift(other, this)]);
  }
  /** Negation of a bool. */
  not(): Expr {
    return this.xor(constant(1, "bool"));
  }
  /** Shift to the left. */
  shl(count: ExprLike): Expr {
    return operation("shl", [this, lift(count, this)]);
  }
  /** Logical shift: zeros come in from the left. */
  shr(count: ExprLike): Expr {
    return operation("shr", [this, lift(count, this)]);
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
    if (to === "bool") throw new DtypeError("bitcast: to f32 or i32; a bool is a comparison's result");
    return to === this.dtype ? this : operation("bitcast", [this], to);
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

/** An operation on arguments alike in dtype, which gives that dtype unless told otherwise. @throws DtypeError */
function operation(op: Operation, args: readonly [Expr, ...Expr[]], result: Dtype = args[0].dtype): Expr {
  const { dtype } = args[0];
  const taken: readonly Dtype[] = OPERAND_DTYPES[op];
  if (!taken.includes(dtype) || args.some((arg) => arg.dtype !== dtype))
    throw new DtypeError(
      `${op}: takes ${taken.join(" or ")}${args.length > 1 ? ", both alike" : ""}, got ${args.map((arg) => arg.dtype).join(" and ")}; cast first`,
    );
  return node(op, result, args);
}

/** An operation's rule for the element type of its first argument. */
export const ruleFor = <Rule, Op extends Operation>(table: OperationTable<Rule, Op>, e: Expr): Rule =>
  (table as Readonly<Record<string, Readonly<Record<string, Rule>>>>)[e.op]![e.args[0]!.dtype]!;

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

/** The operands that expressions load from. */
export const loadsIn = (roots: readonly Expr[]): Set<number> =>
  new Set(postorder(roots).flatMap((e) => (e.op === "load" ? [e.value] : [])));

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
