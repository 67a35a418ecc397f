import { convKind, pointwiseProduct, windowOverrides } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import type { Epilogue } from "./epilogue.ts";
import { multiplyViews } from "./matmul.ts";
import { sumWindows } from "./sumWindows.ts";

/** Convolutions and their inputs' gradients. */
export const conv2dOverrides = (runtime: CpuRuntime) =>
  windowOverrides<Epilogue>({
    kindOf: convKind,
    epilogueOf: ({ inputs, attrs }) => ({
      activation: attrs.activation,
      addresses: inputs.slice(2).map((view) => runtime.pointer(view)),
    }),
    run(windows, { kind, epilogue }) {
      if (kind === "pointwise") multiplyViews(runtime, { ...pointwiseProduct(windows), epilogue });
      else sumWindows(runtime, { ...windows, isDepthwise: kind === "depthwise", epilogue });
    },
  });
