/** Nodes without arguments, except `load`, which may have an index. */
export type LeafOp = "const" | "param" | "axis" | "load" | "row";
/** Nodes of one argument. */
export type UnaryOp =
  | "floor"
  | "abs"
  | "sqrt"
  | "exp"
  | "log"
  | "tanh"
  | "sigmoid"
  | "erf"
  | "isnan"
  | "isfinite"
  | "cast"
  | "bitcast";
/** Nodes of two arguments. */
export type BinaryOp =
  | "add"
  | "sub"
  | "mul"
  | "div"
  | "rem"
  | "min"
  | "max"
  | "lt"
  | "eq"
  | "and"
  | "or"
  | "xor"
  | "shl"
  | "shr";
/** All kinds of nodes. */
export type ExprOp = LeafOp | UnaryOp | BinaryOp | "select";
