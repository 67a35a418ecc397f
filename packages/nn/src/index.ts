/**
 * Neural networks on `@dfine/tensor`: modules, optimisers, schedules, safetensors.
 * @module @dfine/nn
 */

export * from "./float16.ts";
export * from "./init.ts";
export * from "./initialize.ts";
export * from "./layers/batchNorm2d.ts";
export * from "./layers/biasActivation.ts";
export * from "./layers/conv2d.ts";
export * from "./layers/dropout.ts";
export * from "./layers/embedding.ts";
export * from "./layers/groupNorm.ts";
export * from "./layers/layerNorm.ts";
export * from "./layers/linear.ts";
export * from "./layers/mlp.ts";
export * from "./layers/multiHeadAttention.ts";
export * from "./layers/sequential.ts";
export * from "./module.ts";
export * from "./optim/index.ts";
export { buffer, isDerived, isParameter, type ParameterOptions, parameter } from "./parameter.ts";
export * from "./safetensors.ts";
export * from "./schedule.ts";
export {
  compareState,
  type HostTensor,
  type LoadOptions,
  type LoadReport,
  StateDictError,
  type StateValue,
} from "./state.ts";
