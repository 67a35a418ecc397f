import type { MaxPool2dAttrs } from "@dfine/tensor";
import type { OpAttrs, Override } from "@dfine/tensor/kernel";
import { dispatchElements, elementKernel } from "./elements.ts";
import type { GpuRuntime } from "./runtime.ts";

/** A thread per window, walked row by row, so that the first largest element wins. Values keep their bits. */
const POOL = elementKernel({
  name: "maxPool2d.direct",
  bindings: { x: "read i32", values: "write i32", indices: "write i32" },
  body: `
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
    dispatchElements(runtime, POOL, {
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

/** For each row of windows: the first and the last row of the plane that its indices are in, two numbers. */
const REACH = elementKernel({
  name: "maxPool2dGrad.reach",
  bindings: { indices: "read i32", reach: "write i32" },
  body: `
fn element(i: i32) {
  var low = 0x7fffffff;
  var high = -1;
  for (var at = i * u.outWidth; at < (i + 1) * u.outWidth; at++) {
    let index = indices[u.o_indices + at];
    low = min(low, index);
    high = max(high, index);
  }
  reach[u.o_reach + 2 * i] = low / u.width;
  reach[u.o_reach + 2 * i + 1] = high / u.width;
}`,
});

/**
 * A thread per row of dx, which it alone writes: zeros, then the gradients of all windows whose largest element lies in it,
 * in order. Windows are near their elements, so only few rows of windows are looked at.
 */
const ADD = elementKernel({
  name: "maxPool2dGrad.rows",
  bindings: { dy: "read f32", indices: "read i32", reach: "read i32", dx: "write f32" },
  body: `
fn element(i: i32) {
  let plane = i / u.height;
  let y = i - plane * u.height;
  let to = u.o_dx + i * u.width;
  for (var x = 0; x < u.width; x++) { dx[to + x] = 0.0; }
  for (var row = plane * u.outHeight; row < (plane + 1) * u.outHeight; row++) {
    if (reach[u.o_reach + 2 * row] > y || reach[u.o_reach + 2 * row + 1] < y) { continue; }
    for (var at = row * u.outWidth; at < (row + 1) * u.outWidth; at++) {
      let x = indices[u.o_indices + at] - y * u.width;
      if (x >= 0 && x < u.width) { dx[to + x] += dy[u.o_dy + at]; }
    }
  }
}`,
});

export const maxPool2dGradOverride = (runtime: GpuRuntime): Override<OpAttrs["maxPool2dGrad"]> => ({
  select: () => "rows",
  run({ inputs: [dy, indices], outputs: [dx] }) {
    const [images, channels, outHeight, outWidth] = dy!.shape as [number, number, number, number];
    const [height, width] = dx!.shape.slice(2) as [number, number];
    const planes = images * channels;
    runtime.withScratch(2 * planes * outHeight, "i32", (reach) => {
      dispatchElements(runtime, REACH, {
        views: { indices: indices!, reach },
        uniforms: { width, outWidth },
        count: planes * outHeight,
        visits: outWidth,
      });
      dispatchElements(runtime, ADD, {
        views: { dy: dy!, indices: indices!, reach, dx: dx! },
        uniforms: { height, width, outHeight, outWidth },
        count: planes * height,
        visits: 2 * outHeight + 2 * outWidth,
      });
    });
  },
});
