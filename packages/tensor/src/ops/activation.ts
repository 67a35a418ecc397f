import type { Expr } from "../kernel/expr.ts";
import { defineMap } from "./defineMap.ts";

/** Scalar forms, for ops that fuse an activation into their own kernel. */
export const scalar = {
  identity: (x: Expr): Expr => x,
  /** NaN stays; gradient 0 at 0, as PyTorch's. */
  relu: (x: Expr): Expr => x.lt(0).or(x.eq(0)).select(0, x),
  sigmoid: (x: Expr): Expr => x.sigmoid(),
  silu: (x: Expr): Expr => x.mul(x.sigmoid()),
  /** x·Φ(x), exact. */
  gelu: (x: Expr): Expr => x.mul(x.mul(Math.SQRT1_2).erf().add(1)).mul(0.5),
} as const;

export type Activation = keyof typeof scalar;

export const relu = defineMap("relu", scalar.relu);
export const sigmoid = defineMap("sigmoid", scalar.sigmoid);
export const silu = defineMap("silu", scalar.silu);
export const gelu = defineMap("gelu", scalar.gelu);
export const tanh = defineMap("tanh", (x) => x.tanh());
export const erf = defineMap("erf", (x) => x.erf());
/** ln(1 + eˣ) without overflow. */
export const softplus = defineMap("softplus", (x) => x.max(0).add(x.abs().neg().exp().add(1).log()));
