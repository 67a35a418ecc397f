import type { Conv2dAttrs } from "@dfine/tensor";
import { type ConvKind, convKind, pointwiseProduct, type Shape4, windowOverrides } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import { multiplyViews } from "./matmul.ts";
import { sumWindows } from "./sumWindows.ts";
import { suitsWinograd, winograd } from "./winograd.ts";

type Kind = ConvKind | "winograd";

/** From sizes alone: a number must not depend on anything else. */
function kindOf(attrs: Conv2dAttrs, weight: Shape4, x: Shape4): Kind {
  return suitsWinograd(attrs, { weight, x }) ? "winograd" : convKind(attrs, weight);
}

/** Convolutions and their inputs' gradients. */
export function conv2dOverrides(runtime: CpuRuntime) {
  return windowOverrides<Kind>({
    kindOf,
    apart: ["pointwise"],
    run(windows, { kind, epilogue }) {
      if (kind === "pointwise") multiplyViews(runtime, { ...pointwiseProduct(windows), epilogue });
      else if (kind === "winograd") winograd(runtime, { ...windows, epilogue });
      else sumWindows(runtime, { ...windows, isDepthwise: kind === "depthwise", epilogue });
    },
  });
}
