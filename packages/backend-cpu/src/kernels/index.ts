import type { Overrides } from "@dfine/tensor";
import type { CpuRuntime } from "../runtime.ts";

/** Hand-written kernels by op. */
export const createOverrides = (_runtime: CpuRuntime): Overrides => ({});
