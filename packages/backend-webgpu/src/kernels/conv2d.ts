import { pointwiseProduct, windowOverrides } from "@dfine/tensor/kernel";
import { convVariant } from "./convVariant.ts";
import { convWindows } from "./convWindows.ts";
import { depthwise } from "./depthwise.ts";
import { type Epilogue, epilogueOf } from "./epilogue.ts";
import { multiplyViews } from "./matmul.ts";
import type { GpuRuntime } from "./runtime.ts";

/** Convolutions and their inputs' gradients. */
export const conv2dOverrides = (runtime: GpuRuntime) =>
  windowOverrides<Epilogue>({
    kindOf: convVariant,
    epilogueOf,
    run(windows, { kind, epilogue }) {
      if (kind === "pointwise") {
        multiplyViews(runtime, { ...pointwiseProduct(windows), epilogue });
        return;
      }
      const [rows, columns] = windows.axes;
      const sum = kind === "depthwise" ? depthwise : convWindows;
      for (const y of rows) for (const x of columns) sum(runtime, { ...windows, axes: [y, x], epilogue });
    },
  });
