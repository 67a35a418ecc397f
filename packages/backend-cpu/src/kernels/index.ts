import type { Overrides } from "@dfine/tensor";
import type { CpuRuntime } from "../runtime.ts";
import { matmulOverride } from "./matmul.ts";

/** Hand-written kernels by op. */
export const createOverrides = (runtime: CpuRuntime): Overrides => ({
  matmul: matmulOverride(runtime),
});
