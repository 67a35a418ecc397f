import type { Conv2dAttrs } from "@dfine/tensor";
import {
  areImagesContiguous,
  type ConvKind,
  convKind,
  pointwiseProduct,
  type Shape4,
  shape4,
  type View,
  windowOverrides,
} from "@dfine/tensor/kernel";
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
  const overrides = windowOverrides<Kind>({
    kindOf,
    run(windows, { kind, epilogue }) {
      if (kind === "pointwise") multiplyViews(runtime, { ...pointwiseProduct(windows), epilogue });
      else if (kind === "winograd") winograd(runtime, { ...windows, epilogue });
      else sumWindows(runtime, { ...windows, isDepthwise: kind === "depthwise", epilogue });
    },
  });
  // Products read images that lie apart, as some channels of a larger tensor do.
  const accepts = ([x, weight]: readonly View[], attrs: Conv2dAttrs): readonly boolean[] => [
    kindOf(attrs, shape4(weight!), shape4(x!)) === "pointwise" && areImagesContiguous(x!),
  ];
  return {
    ...overrides,
    conv2d: { ...overrides.conv2d, accepts },
    conv2dAct: { ...overrides.conv2dAct, accepts },
  };
}
