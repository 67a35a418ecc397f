import { type ConvWindows, type Epilogue, shape4, type WindowAxis } from "@dfine/tensor/kernel";
import { runProduct } from "./product/run.ts";
import type { ProductSpec } from "./product/spec.ts";
import type { GpuRuntime } from "./runtime.ts";

/** Rows are output channels, columns output pixels; k is a kernel tap and an input channel. */
const SPEC = {
  name: "convWindows",
  factors: ["weight", "x"],
  code: (first) => `
struct Batch { weight: i32, x: i32, c: i32, channel: i32 }
struct Outer { y: i32, x: i32, weight: i32 }
struct BPlace { start: i32, y: i32, x: i32 }
struct BSpan { start: i32, inside: bool }
alias APlace = i32;
alias ASpan = i32;
fn batch_of(z: i32) -> Batch {
  let image = z / u.groups;
  let group = z - image * u.groups;
  return Batch(
    ${first.weight} + u.weight_first + group * u.weight_group,
    ${first.x} + image * u.x_image + group * u.x_group,
    u.c_first + image * u.c_image + group * u.c_group,
    group * u.m,
  );
}
fn outer_of(tap: i32) -> Outer {
  let y = tap / u.taps_x;
  let x = tap - y * u.taps_x;
  return Outer(y * u.tap_y, x * u.tap_x, y * u.weight_tap_y + x * u.weight_tap_x);
}
fn a_place(batch: Batch, m: i32) -> i32 { return batch.weight + m * u.weight_row; }
fn a_span(place: i32, outer: Outer) -> i32 { return place + outer.weight; }
fn a_step(inner: i32) -> i32 { return inner * u.weight_channel; }
fn a_address(span: i32, step: i32) -> i32 { return span + step; }
fn b_place(batch: Batch, n: i32) -> BPlace {
  let y = n / u.columns;
  let x = n - y * u.columns;
  return BPlace(batch.x, y * u.step_y + u.base_y, x * u.step_x + u.base_x);
}
fn b_span(place: BPlace, outer: Outer) -> BSpan {
  let y = place.y + outer.y;
  let x = place.x + outer.x;
  let inside = u32(y) < u32(u.height) && u32(x) < u32(u.width);
  return BSpan(place.start + select(0, y * u.width + x, inside), inside);
}
fn b_step(inner: i32) -> i32 { return inner * u.x_channel; }
fn b_value(span: BSpan, step: i32) -> f32 { return select(0.0, x[span.start + step], span.inside); }
fn c_place(batch: Batch, n: i32) -> i32 {
  let y = n / u.columns;
  return batch.c + y * u.c_step_y + (n - y * u.columns) * u.c_step_x;
}
fn channel_of(batch: Batch, m: i32) -> i32 { return batch.channel + m; }`,
  addressed: ["a"],
  fastest: "outer",
} as const satisfies ProductSpec<"weight" | "x">;

/** Windows along one pair of axes. */
export interface Windows extends Omit<ConvWindows, "axes"> {
  readonly axes: readonly [WindowAxis, WindowAxis];
  readonly epilogue?: Epilogue | undefined;
}

/** C[b, m, y, x] = Σ weight · x over channels and windows: a convolution, then the epilogue; or its input's gradient at one residue. */
export function convWindows(runtime: GpuRuntime, windows: Windows): void {
  const { weight, x, c, groups, axes, weightStrides, epilogue } = windows;
  const [yAxis, xAxis] = axes;
  const [images, channels, height, width] = shape4(x);
  const [, rows, outHeight, outWidth] = shape4(c);
  const taps = yAxis.taps * xAxis.taps;
  const kernelWidth = weight.shape[3]!;
  const [xPlane, cPlane] = [height * width, outHeight * outWidth];
  const k = (taps * channels) / groups;
  // A row of the weight is read from end to end, in its order.
  const isWhole =
    weightStrides.channel === taps &&
    weightStrides.row === k &&
    [yAxis, xAxis].every(({ tapIndexStep }) => tapIndexStep === 1);
  const n = yAxis.outputs * xAxis.outputs;
  const isDense = yAxis.outStep * xAxis.outStep === 1;
  runProduct(runtime, SPEC, {
    sizes: {
      ...{ m: rows / groups, n, batch: images * groups },
      ...{ outer: taps, inner: channels / groups, k },
    },
    factors: { weight, x },
    c,
    cRow: cPlane,
    epilogue,
    uniforms: {
      ...{ groups, height, width, columns: xAxis.outputs, taps_x: xAxis.taps },
      ...{ step_y: yAxis.step, step_x: xAxis.step, base_y: yAxis.base, base_x: xAxis.base },
      ...{ tap_y: yAxis.tapStep, tap_x: xAxis.tapStep },
      weight_first: yAxis.firstTap * kernelWidth + xAxis.firstTap,
      ...{ weight_tap_y: yAxis.tapIndexStep * kernelWidth, weight_tap_x: xAxis.tapIndexStep },
      ...{ weight_group: weightStrides.group, weight_row: weightStrides.row, weight_channel: weightStrides.channel },
      ...{ x_image: x.strides[0]!, x_group: (channels / groups) * xPlane, x_channel: xPlane },
      ...{ c_image: rows * cPlane, c_group: (rows / groups) * cPlane, c_first: yAxis.start * outWidth + xAxis.start },
      ...{ c_step_y: yAxis.outStep * outWidth, c_step_x: xAxis.outStep },
    },
    lies: {
      a: { alongK: taps > 1 || weightStrides.channel < weightStrides.row, inFours: isWhole && k % 4 === 0 },
      b: { alongK: false, inFours: false },
    },
    cInFours: n === cPlane && n % 4 === 0,
    mayPart: isDense,
  });
}
