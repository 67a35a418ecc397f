/**
 * What kernels are written in: scalar expressions, loop nests, programs, and how they are launched. For authors of ops and
 * of backends.
 * @module @dfine/tensor/kernel
 */

import "../methods.ts";

export type * from "../backend.ts";
export { type Known, memo, type Numbers, NumbersMemo } from "../memo.ts";
export type { OpAttrs } from "../ops/attrs.ts";
export { defineOp, type OpBackprop, type OpDefinition, type OutputSpec, type StructuredOp } from "../ops/defineOp.ts";
export { ANY, type Takes } from "../ops/inputs.ts";
export type { Trials } from "../ops/registry.ts";
export { bind, empty } from "../ops/result.ts";
export { type Activation, perActivation, scalar } from "./activation.ts";
export * from "./convolution.ts";
export * from "./describe.ts";
export type { Epilogue, EpilogueOperand } from "./epilogue.ts";
export * from "./expr.ts";
export * from "./exprOps.ts";
export * from "./folds.ts";
export { type FinishedCall, Fusion, type FusionOptions, type Product } from "./fusion/fusion.ts";
export { inOrder, type Order } from "./fusion/inOrder.ts";
export type { OrderOf } from "./fusion/sums.ts";
export * from "./kernel.ts";
export { type Laid, layoutOf } from "./laid.ts";
export { launch, type Place } from "./launch.ts";
export * from "./matrices.ts";
export { kernelCount, type Layout, type Plan, plan } from "./plan.ts";
export * from "./polynomials.ts";
export * from "./program.ts";
export * from "./sizes.ts";
export * from "./windows.ts";
export * from "./words.ts";
