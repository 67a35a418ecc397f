import type { Expr } from "./expr.ts";

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
/** By name, all of them. */
export const ACTIVATIONS = Object.keys(scalar) as Activation[];

/** What `make` gives for each activation, such as ops that fuse it. */
export const perActivation = <T>(make: (activation: Activation) => T): Record<Activation, T> =>
  Object.fromEntries(ACTIVATIONS.map((activation) => [activation, make(activation)])) as Record<Activation, T>;
