import type { Overrides } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import { attentionOverride } from "./attention.ts";
import { attentionGradOverride } from "./attentionGrad.ts";
import { conv2dOverrides } from "./conv2d.ts";
import { conv2dWeightGradOverride } from "./conv2dWeightGrad.ts";
import { deformableSampleOverride } from "./deformableSample.ts";
import { deformableSampleGradOverride } from "./deformableSampleGrad.ts";
import { indexAddOverride, indexSelectOverride } from "./indexRows.ts";
import { matmulOverride } from "./matmul.ts";
import { maxPool2dOverride } from "./maxPool2d.ts";
import { maxPool2dGradOverride } from "./maxPool2dGrad.ts";
import { topKOverride } from "./topK.ts";

/** Hand-written kernels by op. */
export const createOverrides = (runtime: CpuRuntime): Overrides => ({
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
  scaledDotProductAttention: attentionOverride(runtime),
  scaledDotProductAttentionGrad: attentionGradOverride(runtime),
});
