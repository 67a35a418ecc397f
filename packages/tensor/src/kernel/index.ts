/**
 * What kernels are written in: scalar expressions, loop nests, programs, and how they are launched. For authors of ops and
 * of backends.
 * @module @dfine/tensor/kernel
 */

import "../methods.ts";

export type * from "../backend.ts";
export { convEpilogue } from "../ops/conv2d.ts";
export { type Activation, scalar } from "./activation.ts";
export * from "./describe.ts";
export * from "./expr.ts";
export * from "./exprOps.ts";
export * from "./kernel.ts";
export { kernelCount } from "./plan.ts";
export * from "./polynomials.ts";
