/**
 * Eager tensors with autograd, and the interface that backends implement.
 * @module @dfine/tensor
 */

import "./methods.ts";

export { backward, checkpoint, gradients } from "./autograd/gradient.ts";
export type { Backend, Buffer, DeviceClock, MemoryUse, Meter } from "./backend.ts";
export { closest, editDistance } from "./closest.ts";
export * from "./dtype.ts";
export * from "./errors.ts";
export { type MetaOptions, metaBackend } from "./metaBackend.ts";
export * from "./ops/activationOps.ts";
export * from "./ops/arithmetic.ts";
export { type AttentionInputs, type AttentionOptions, scaledDotProductAttention } from "./ops/attention.ts";
export type * from "./ops/attrs.ts";
export { type CaseInput, caseOf, casesOf, type OpCase, type Refusal, shapesOf } from "./ops/cases.ts";
export { type Conv2dActOptions, conv2d, conv2dAct } from "./ops/conv2d.ts";
export type { Conv2dOptions } from "./ops/conv2dOptions.ts";
export { copyInto, fillInto, zerosLike } from "./ops/copy.ts";
export * from "./ops/create.ts";
export { defineCall } from "./ops/defineCall.ts";
export { defineMap, type MapOptions } from "./ops/defineMap.ts";
export { defineRow, type RowBuilder, type RowOp, type RowOptions } from "./ops/defineRow.ts";
export { defineUpdate, overwrites, type UpdateOp, type UpdateOptions } from "./ops/defineUpdate.ts";
export { flatRows, indexAdd, indexSelect, oneHot } from "./ops/indexing.ts";
export { interpolateBilinear } from "./ops/interpolate.ts";
export { concat, pad2d, split, stack, upsampleNearest } from "./ops/join.ts";
export { linear, matmul } from "./ops/matmul.ts";
export { type MaxPool2dOptions, maxPool2d } from "./ops/maxPool2d.ts";
export {
  type AttributeCall,
  type AttributeOps,
  type LayoutOps,
  type MapCall,
  type OpCall,
  type RecordOptions,
  type RowCall,
  recordCalls,
  recordsAnySize,
} from "./ops/recorder.ts";
export { amax, amin, mean, type ReduceOptions, sum } from "./ops/reduce.ts";
export { type RegisteredOp, type Trials, tryAlso } from "./ops/registry.ts";
export * from "./ops/row.ts";
export { deformableSample, gridSample } from "./ops/sample.ts";
export { topK } from "./ops/topK.ts";
export { bitsTensor, type RandomKey, randomBits, uniform, uniformAt } from "./ops/uniform.ts";
export * from "./ops/view.ts";
export * from "./options.ts";
export { coalesce, pack, packedCopies, packedGradients, packedZerosLike } from "./pack.ts";
export { type Ceiling, measureCeiling } from "./profile/ceiling.ts";
export { type OpProfile, type Profile, type Profiled, profiled } from "./profile/profiled.ts";
export { type OpShares, profileTable, sharesOf } from "./profile/profileTable.ts";
export type { KernelWork } from "./profile/work.ts";
export * from "./random.ts";
export { type ReferenceOptions, referenceBackend } from "./reference/referenceBackend.ts";
export {
  currentBackend,
  isRecomputing,
  noGrad,
  type Stretch,
  setBackend,
  setTrace,
  type TraceEvent,
  withBackend,
  withoutOverrides,
} from "./runtime.ts";
export { keep, Scope, type ScopeOptions, scope } from "./scope.ts";
export * from "./shape.ts";
export { liveStorages } from "./storage.ts";
export { type SliceRange, Tensor, type TensorLike, type TensorMethods } from "./tensor.ts";
