import type { Overrides } from "@dfine/tensor";
import type { GpuRuntime } from "../runtime.ts";

/** Hand-written kernels by op. */
export const createOverrides = (_runtime: GpuRuntime): Overrides => ({});
