import type { AdapterKind } from "./workLimits.ts";

/** By what an adapter says of itself; the first that fits. WebGPU tells no kind. */
const KINDS: readonly (readonly [RegExp, AdapterKind])[] = [
  [/swiftshader|llvmpipe|lavapipe|warp|basic render|softpipe/i, "software"],
  // Cards' makers also make chips that share the processor's memory.
  [/\b(tegra|orin|xavier|radeon(\(tm\))? graphics|vega \d+ graphics)\b/i, "integrated"],
  [/nvidia|geforce|quadro|radeon (rx|pro|vii)|instinct|\barc\b|xe-?hpg|gen-?12-?hp/i, "discrete"],
  [/intel|apple|mali|adreno|qualcomm|powervr|img-tec|samsung|broadcom|\barm\b/i, "integrated"],
];

export const kindOf = (identity: string): AdapterKind =>
  KINDS.find(([pattern]) => pattern.test(identity))?.[1] ?? "unknown";
