export { type Counters, type WebGpuBackend, type WebGpuOptions, webgpu } from "./backend.ts";
export type { KernelTime } from "./commands/profiler.ts";
