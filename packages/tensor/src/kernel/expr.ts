import type { Dtype } from "../dtype.ts";
import { DtypeError } from "../errors.ts";
import { BINARY, type ExprOp, OPERAND_DTYPES, type Operation, type OperationTable, UNARY } from "./exprOps.ts";

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
 * The operations of the tables `UNARY` and `BINARY` are methods.
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: what is below gives the class what the interface promises.
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

  /** −this. */
  neg(): Expr {
    return this.mul(-1);
  }
  /** this > other, as bool; false for NaN. */
  gt(other: ExprLike): Expr {
    return lift(other, this).lt(this);
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
  /** Negation of a bool. */
  not(): Expr {
    return this.xor(constant(1, "bool"));
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

type Methods<Ops, Args extends readonly unknown[]> = { readonly [Op in keyof Ops]: (...args: Args) => Expr };
export interface Expr extends Methods<typeof UNARY, []>, Methods<typeof BINARY, [other: ExprLike]> {}

for (const op of Object.keys({ ...UNARY, ...BINARY }) as Operation[])
  Object.defineProperty(Expr.prototype, op, {
    value(this: Expr, ...others: ExprLike[]): Expr {
      const args = [this, ...others.map((other) => lift(other, this))] as const;
      return simpler(op, args) ?? operation(op, args);
    },
  });

/** Numbers that as second argument leave the first as it is; of sums and products, also the other way round. */
const NEUTRAL: Readonly<Partial<Record<Operation, number>>> = { add: 0, sub: 0, mul: 1, div: 1 };

function simpler(op: Operation, [a, b]: readonly [Expr, ...Expr[]]): Expr | undefined {
  const neutral = NEUTRAL[op];
  if (neutral === undefined || b === undefined) return undefined;
  if (isConst(b, neutral)) return a;
  return (op === "add" || op === "mul") && isConst(a, neutral) ? b : undefined;
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
/** A number as an expression of the same type as another one. */
export const lift = (x: ExprLike, like: Expr): Expr => (typeof x === "number" ? constant(x, like.dtype) : x);

const TRUTHS: ReadonlySet<Operation> = new Set(["isNaN", "isFinite", "lt", "eq"]);

/** An operation on arguments alike in dtype, which gives a truth or that dtype unless told otherwise. @throws DtypeError */
function operation(op: Operation, args: readonly [Expr, ...Expr[]], result?: Dtype): Expr {
  const { dtype } = args[0];
  const taken: readonly Dtype[] = OPERAND_DTYPES[op];
  if (!taken.includes(dtype) || args.some((arg) => arg.dtype !== dtype))
    throw new DtypeError(
      `${op}: takes ${taken.join(" or ")}${args.length > 1 ? ", both alike" : ""}, got ${args.map((arg) => arg.dtype).join(" and ")}; cast first`,
    );
  return node(op, result ?? (TRUTHS.has(op) ? "bool" : dtype), args);
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

const LEAF_LETTERS: Readonly<Partial<Record<ExprOp, string>>> = { param: "c", axis: "i", row: "r" };

/** How printed kernels call a parameter (c0), an index along an axis (i0) and a row's result (r0); undefined of other nodes. */
export function leafName({ op, value }: Expr): string | undefined {
  const letter = LEAF_LETTERS[op];
  return letter && `${letter}${value}`;
}

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

/** Rebuilds a DAG in which nodes are replaced by others, the outermost first; what replaces them stays as it is. */
export function replace(root: Expr, known: ReadonlyMap<Expr, Expr>): Expr {
  const done = new Map(known);
  const visit = (e: Expr): Expr => {
    const found = done.get(e);
    if (found) return found;
    const args = e.args.map(visit);
    const rebuilt = args.every((arg, i) => arg === e.args[i]) ? e : node(e.op, e.dtype, args, e.value);
    done.set(e, rebuilt);
    return rebuilt;
  };
  return visit(root);
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
