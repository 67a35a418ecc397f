import type { Expr } from "../kernel/expr.ts";
import { defineMap } from "./defineMap.ts";

/** Scalar forms, for ops that fuse an activation into their own kernel. */
export const scalar = {
  /** x itself. */
  identity: (x: Expr): Expr => x,
  /** NaN stays; gradient 0 at 0, as PyTorch's. */
  relu: (x: Expr): Expr => x.lt(0).or(x.eq(0)).select(0, x),
  /** 1 / (1 + e⁻ˣ). */
  sigmoid: (x: Expr): Expr => x.sigmoid(),
  /** x · sigmoid(x). */
  silu: (x: Expr): Expr => x.mul(x.sigmoid()),
  /** x·Φ(x), exact. */
  gelu: (x: Expr): Expr => x.mul(x.mul(Math.SQRT1_2).erf().add(1)).mul(0.5),
} as const;

/** Activations that other ops can fuse. */
export type Activation = keyof typeof scalar;

/** max(x, 0); NaN stays; gradient 0 at 0. */
export const relu = defineMap("relu", scalar.relu);
/** 1 / (1 + e⁻ˣ). */
export const sigmoid = defineMap("sigmoid", scalar.sigmoid);
/** x · sigmoid(x). */
export const silu = defineMap("silu", scalar.silu);
/** x · Φ(x), exact. */
export const gelu = defineMap("gelu", scalar.gelu);
/** Hyperbolic tangent. */
export const tanh = defineMap("tanh", (x) => x.tanh());
/** Error function. */
export const erf = defineMap("erf", (x) => x.erf());
/** ln(1 + eˣ) without overflow. */
export const softplus = defineMap("softplus", (x) => x.max(0).add(x.abs().neg().exp().add(1).log()));
