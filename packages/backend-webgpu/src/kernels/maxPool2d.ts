import type { MaxPool2dAttrs } from "@dfine/tensor";
import type { Override } from "@dfine/tensor/kernel";
import { dispatchElements, elementKernel } from "./elements.ts";
import { ORDER_KEY } from "./orderKey.ts";
import type { GpuRuntime } from "./runtime.ts";

/** A thread per window, walked row by row, so that the first largest element wins. Values keep their bits. */
const KERNEL = elementKernel({
  name: "maxPool2d.direct",
  bindings: { x: "read i32", values: "write i32", indices: "write i32" },
  uniforms: {
    ...{ height: "i32", width: "i32", outHeight: "i32", outWidth: "i32" },
    ...{ kernelY: "i32", kernelX: "i32", strideY: "i32", strideX: "i32", padY: "i32", padX: "i32" },
  },
  body: `
${ORDER_KEY}
fn element(i: i32) {
  let row = i / u.outWidth;
  let plane = row / u.outHeight;
  let top = (row - plane * u.outHeight) * u.strideY - u.padY;
  let left = (i - row * u.outWidth) * u.strideX - u.padX;
  let x0 = max(left, 0);
  let x1 = min(left + u.kernelX, u.width);
  let y0 = max(top, 0);
  let y1 = min(top + u.kernelY, u.height);
  let start = u.o_x + plane * u.height * u.width;
  // A window all in the padding has -infinity.
  var best = bitcast<i32>(0xff800000u);
  var best_key = 0u;
  var best_at = y0 * u.width + x0;
  let width = u.width;
  for (var y = y0; y < y1; y++) {
    for (var at = y * width + x0; at < y * width + x1; at++) {
      let value = x[start + at];
      let key = order_key(value);
      let better = key > best_key;
      best = select(best, value, better);
      best_at = select(best_at, at, better);
      best_key = max(best_key, key);
    }
  }
  values[u.o_values + i] = best;
  indices[u.o_indices + i] = best_at;
}`,
});

export const maxPool2dOverride = (runtime: GpuRuntime): Override<MaxPool2dAttrs> => ({
  select: () => "direct",
  run({ inputs: [x], outputs: [values, indices], attrs: { kernelSize, stride, padding } }) {
    const [images, channels, height, width] = x!.shape as [number, number, number, number];
    const [, , outHeight, outWidth] = values!.shape as [number, number, number, number];
    dispatchElements(runtime, KERNEL, {
      views: { x: x!, values: values!, indices: indices! },
      uniforms: {
        ...{ height, width, outHeight, outWidth },
        ...{ kernelY: kernelSize[0], kernelX: kernelSize[1] },
        ...{ strideY: stride[0], strideX: stride[1], padY: padding[0], padX: padding[1] },
      },
      count: images * channels * outHeight * outWidth,
      visits: kernelSize[0] * kernelSize[1],
    });
  },
});
