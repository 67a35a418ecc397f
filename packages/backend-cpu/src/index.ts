/**
 * The CPU as a backend: WebAssembly SIMD on worker threads.
 * @module @dfine/backend-cpu
 */

export { type CpuBackend, type CpuOptions, cpu } from "./backend.ts";
export type { WeightForm } from "./memory/keptForms.ts";
export type { WordList } from "./memory/wordList.ts";
export type { CpuRuntime, Job, WasmKernel } from "./runtime.ts";
