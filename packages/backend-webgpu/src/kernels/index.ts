import type { Overrides } from "@dfine/tensor/kernel";
import { conv2dOverrides } from "./conv2d.ts";
import { conv2dWeightGradOverride } from "./conv2dWeightGrad.ts";
import { deformableSampleGradOverride, deformableSampleOverride } from "./deformableSample.ts";
import { indexAddOverride, indexSelectOverride } from "./indexRows.ts";
import { matmulOverride } from "./matmul.ts";
import { maxPool2dGradOverride, maxPool2dOverride } from "./maxPool2d.ts";
import type { GpuRuntime } from "./runtime.ts";
import { topKOverride } from "./topK.ts";

/** Hand-written kernels by op. */
export const createOverrides = (runtime: GpuRuntime): Overrides => ({
  matmul: matmulOverride(runtime),
  ...conv2dOverrides(runtime),
  conv2dWeightGrad: conv2dWeightGradOverride(runtime),
  maxPool2d: maxPool2dOverride(runtime),
  maxPool2dGrad: maxPool2dGradOverride(runtime),
  indexSelect: indexSelectOverride(runtime),
  indexAdd: indexAddOverride(runtime),
  topK: topKOverride(runtime),
  deformableSample: deformableSampleOverride(runtime),
  deformableSampleGrad: deformableSampleGradOverride(runtime),
});
