import { scalar } from "../kernel/activation.ts";
import { defineMap } from "./defineMap.ts";

/** max(x, 0); NaN stays; gradient 0 at 0. */
export const relu = defineMap("relu", scalar.relu, { recall: (result) => [result] });
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
