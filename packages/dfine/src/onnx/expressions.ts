import type { Dtype } from "@dfine/tensor";
import { type Expr, type OperationTable, ruleFor, scalar } from "@dfine/tensor/kernel";
import { ExportError } from "../exportError.ts";
import { ELEMENT, type Graph } from "./graph.ts";

type Rule = (graph: Graph, args: readonly string[], e: Expr) => string;

const as =
  (op: string, attributes = {}): Rule =>
  (graph, args) =>
    graph.node(op, args, attributes);

const cast: Rule = (graph, [x], { dtype }) => graph.cast(x!, ELEMENT[dtype]);

/** ONNX shifts numbers without a sign. */
const shift =
  (direction: "LEFT" | "RIGHT"): Rule =>
  (graph, [x, count]) => {
    const places = graph.node("BitwiseAnd", [count!, graph.number(31, "i32")]);
    const [a, b] = [x!, places].map((value) => graph.cast(value, "uint32")) as [string, string];
    return graph.cast(graph.node("BitShift", [a, b], { direction }), "int32");
  };

const bitcast: Rule = () => {
  throw new ExportError("onnx: bits cannot be taken as those of another element type");
};

/** What a formula is made of, in ONNX. */
const OPERATIONS: OperationTable<Rule> = {
  floor: { f32: as("Floor") },
  abs: { f32: as("Abs") },
  sqrt: { f32: as("Sqrt") },
  exp: { f32: as("Exp") },
  log: { f32: as("Log") },
  tanh: { f32: as("Tanh") },
  sigmoid: { f32: as("Sigmoid") },
  erf: { f32: as("Erf") },
  isNaN: { f32: as("IsNaN") },
  isFinite: {
    f32: (graph, [x]) => graph.node("Not", [graph.node("Or", [graph.node("IsNaN", [x!]), graph.node("IsInf", [x!])])]),
  },
  add: { f32: as("Add"), i32: as("Add") },
  sub: { f32: as("Sub"), i32: as("Sub") },
  mul: { f32: as("Mul"), i32: as("Mul") },
  div: { f32: as("Div"), i32: as("Div") },
  rem: { i32: as("Mod", { fmod: 1 }) },
  min: { f32: as("Min"), i32: as("Min") },
  max: { f32: as("Max"), i32: as("Max") },
  lt: {
    f32: as("Less"),
    i32: as("Less"),
    bool: (graph, [a, b]) => graph.node("And", [graph.node("Not", [a!]), b!]),
  },
  eq: { f32: as("Equal"), i32: as("Equal"), bool: as("Equal") },
  and: { i32: as("BitwiseAnd"), bool: as("And") },
  or: { i32: as("BitwiseOr"), bool: as("Or") },
  xor: { i32: as("BitwiseXor"), bool: as("Xor") },
  shl: { i32: shift("LEFT") },
  shr: { i32: shift("RIGHT") },
  cast: { f32: cast, i32: cast, bool: cast },
  bitcast: { f32: bitcast, i32: bitcast },
  select: {
    // Runtimes choose between numbers only.
    bool: (graph, [condition, yes, no], { dtype }) => {
      if (dtype !== "bool") return graph.node("Where", [condition!, yes!, no!]);
      const other = graph.node("And", [graph.node("Not", [condition!]), no!]);
      return graph.node("Or", [graph.node("And", [condition!, yes!]), other]);
    },
  },
};

/** A formula that ONNX has an operator of its own for. Equal formulas are one object, so comparing is making it again. */
type Idiom = (e: Expr) => { readonly op: string; readonly args: readonly Expr[] } | undefined;

const relu: Idiom = (e) => {
  const x = e.args[2]!;
  return e === scalar.relu(x) ? { op: "Relu", args: [x] } : undefined;
};

const clip: Idiom = ({ args: [isLow, low, rest] }) => {
  if (rest?.op !== "select") return undefined;
  const [isHigh, high, x] = rest.args as [Expr, Expr, Expr];
  const areNumbers = [low!, high].every(({ op }) => op === "const" || op === "param");
  return areNumbers && isLow === x.lt(low!) && isHigh === high.lt(x)
    ? { op: "Clip", args: [x, low!, high] }
    : undefined;
};

const idiomOf = (e: Expr) => (e.op === "select" && e.dtype === "f32" ? (relu(e) ?? clip(e)) : undefined);

/** Values of a formula's leaves: elements, numbers, results of reductions. */
export interface Leaves {
  readonly load: (operand: number) => string;
  readonly param: (index: number, dtype: Dtype) => string;
  readonly row?: (stage: number) => string;
}

/** Puts down a formula for each element; gives the name of its value. @throws ExportError for what ONNX does not have */
export function writeExpression(root: Expr, graph: Graph, leaves: Leaves): string {
  const found = idiomOf(root);
  const write = (e: Expr): string => writeExpression(e, graph, leaves);
  if (found) return graph.node(found.op, found.args.map(write));
  switch (root.op) {
    case "const":
      return graph.number(root.value, root.dtype);
    case "param":
      return leaves.param(root.value, root.dtype);
    case "load":
      if (root.args.length > 0) break;
      return leaves.load(root.value);
    case "row":
      return leaves.row!(root.value);
    case "axis":
      break;
    default:
      return ruleFor(OPERATIONS, root)(graph, root.args.map(write), root);
  }
  throw new ExportError("onnx: a formula that counts positions has no ONNX form; give its op a rule in onnx/rules.ts");
}
