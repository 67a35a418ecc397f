/**
 * WebGPU as a backend: WGSL kernels, in browsers and in Node.
 * @module @dfine/backend-webgpu
 */

export { hardwareWebgpu, type WebGpuBackend, webgpu } from "./backend.ts";
export type { KernelTime } from "./commands/profiler.ts";
export type { Counters } from "./device/gpu.ts";
export type { Limits } from "./device/workLimits.ts";
export type { GpuRuntime, PartedSum } from "./kernels/runtime.ts";
export { type WgslCall, type WgslKernel, wgslKernel } from "./kernels/wgslKernel.ts";
export type { WebGpuOptions } from "./options.ts";
export { type Choice, noChoices, readChoices, type TunedChoices, writeChoices } from "./tuner/choices.ts";
export { type KeptChoices, keptChoices } from "./tuner/kept.node.ts";
