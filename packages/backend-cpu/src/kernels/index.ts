import type { Overrides } from "@dfine/tensor";
import type { CpuRuntime } from "../runtime.ts";
import { conv2dOverride } from "./conv2d.ts";
import { conv2dInputGradOverride } from "./conv2dInputGrad.ts";
import { conv2dWeightGradOverride } from "./conv2dWeightGrad.ts";
import { matmulOverride } from "./matmul.ts";

/** Hand-written kernels by op. */
export const createOverrides = (runtime: CpuRuntime): Overrides => ({
  matmul: matmulOverride(runtime),
  conv2d: conv2dOverride(runtime),
  conv2dInputGrad: conv2dInputGradOverride(runtime),
  conv2dWeightGrad: conv2dWeightGradOverride(runtime),
});
