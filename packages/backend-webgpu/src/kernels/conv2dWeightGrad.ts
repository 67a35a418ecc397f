import type { Conv2dWeightGradAttrs } from "@dfine/tensor";
import { areImagesContiguous, asMatrices, type Override, type Shape4, shape4, type View } from "@dfine/tensor/kernel";
import { APART, convVariant } from "./conv2d.ts";
import { depthwiseWeightGrad } from "./depthwiseWeightGrad.ts";
import { multiplySummed } from "./matmul.ts";
import { runProduct } from "./product/run.ts";
import type { ProductSpec } from "./product/spec.ts";
import type { GpuRuntime } from "./runtime.ts";

/**
 * Rows are places of the weight (input channel, kernel row, kernel column), columns output channels; k is a row of an
 * image's output and a pixel in it.
 */
const SPEC = {
  name: "convWeightGrad",
  factors: ["x", "dy"],
  code: (first) => `
struct Batch { x: i32, dy: i32, c: i32 }
struct Outer { y: i32, x: i32, dy: i32 }
struct APlace { start: i32, y: i32, x: i32 }
struct ASpan { start: i32, x: i32, inside: bool }
alias BPlace = i32;
alias BSpan = i32;
fn batch_of(group: i32) -> Batch {
  return Batch(${first.x} + group * u.x_group, ${first.dy} + group * u.dy_group, group * u.c_group);
}
fn outer_of(row: i32) -> Outer {
  let image = row / u.rows_y;
  let y = row - image * u.rows_y;
  return Outer(y * u.step_y, image * u.x_image, image * u.dy_image + y * u.inner);
}
fn a_place(batch: Batch, m: i32) -> APlace {
  let line = m / u.kernel_x;
  let channel = line / u.kernel_y;
  let y = (line - channel * u.kernel_y) * u.tap_y + u.base_y;
  return APlace(batch.x + channel * u.x_channel, y, (m - line * u.kernel_x) * u.tap_x + u.base_x);
}
fn a_span(place: APlace, outer: Outer) -> ASpan {
  let y = place.y + outer.y;
  let inside = u32(y) < u32(u.height);
  return ASpan(place.start + outer.x + select(0, y * u.width, inside), place.x, inside);
}
fn a_step(inner: i32) -> i32 { return inner * u.step_x; }
fn a_value(span: ASpan, step: i32) -> f32 {
  let at = span.x + step;
  let inside = span.inside && u32(at) < u32(u.width);
  return select(0.0, x[span.start + select(0, at, inside)], inside);
}
fn b_place(batch: Batch, n: i32) -> i32 { return batch.dy + n * u.dy_channel; }
fn b_span(place: i32, outer: Outer) -> i32 { return place + outer.dy; }
fn b_step(inner: i32) -> i32 { return inner; }
fn b_address(span: i32, step: i32) -> i32 { return span + step; }
fn c_place(batch: Batch, n: i32) -> i32 { return batch.c + n * u.c_column; }`,
  addressed: ["b"],
  fastest: "inner",
} as const satisfies ProductSpec<"x" | "dy">;

const weightShape = ([dy, x]: readonly View[], { groups, kernelSize }: Conv2dWeightGradAttrs): Shape4 => [
  ...([dy!.shape[1]!, x!.shape[1]! / groups] as const),
  ...kernelSize,
];

export const conv2dWeightGradOverride = (runtime: GpuRuntime): Override<Conv2dWeightGradAttrs> => ({
  select: (inputs, attrs) => convVariant(attrs, weightShape(inputs, attrs)),
  accepts: (inputs, attrs) => {
    const mayLieApart = APART.includes(convVariant(attrs, weightShape(inputs, attrs)));
    return inputs.map((images) => mayLieApart && areImagesContiguous(images));
  },
  run({ variant, inputs, outputs, attrs }) {
    const [dy, x, dw] = [inputs[0]!, inputs[1]!, outputs[0]!];
    if (variant === "depthwise") {
      depthwiseWeightGrad(runtime, { dy, x, dw, attrs });
      return;
    }
    if (variant === "pointwise") {
      pointwise(runtime, { dy, x, dw });
      return;
    }
    const [images, , height, width] = shape4(x);
    const [, co, ho, wo] = shape4(dy);
    const [, ci, kh, kw] = shape4(dw);
    const { groups, stride, padding, dilation } = attrs;
    const m = ci * kh * kw;
    const n = co / groups;
    const outer = images * ho;
    runProduct(runtime, SPEC, {
      sizes: { m, n, outer, inner: wo, k: outer * wo, batch: groups },
      factors: { x, dy },
      c: dw,
      cRow: 1,
      uniforms: {
        ...{ height, width, rows_y: ho, kernel_y: kh, kernel_x: kw },
        ...{ step_y: stride[0], step_x: stride[1], base_y: -padding[0], base_x: -padding[1] },
        ...{ tap_y: dilation[0], tap_x: dilation[1] },
        ...{ x_image: x.strides[0]!, x_group: ci * height * width, x_channel: height * width },
        ...{ dy_image: dy.strides[0]!, dy_group: n * ho * wo, dy_channel: ho * wo },
        ...{ c_group: n * m, c_column: m },
      },
      lies: {
        a: { alongK: true, inFours: false },
        b: { alongK: true, inFours: wo % 4 === 0 && dy.strides[0]! % 4 === 0 },
      },
      cInFours: m % 4 === 0,
      mayPart: true,
    });
  },
});

/** A product [Co, H·W] · [H·W, Ci] for each image, summed over images. */
function pointwise(runtime: GpuRuntime, { dy, x, dw }: { dy: View; x: View; dw: View }): void {
  const [a, b] = [asMatrices(dy), asMatrices(x)];
  const [images, ci, pixels] = b.shape as [number, number, number];
  const transposed = { ...b, shape: [images, pixels, ci], strides: [b.strides[0]!, 1, pixels] };
  multiplySummed(runtime, { a, b: transposed, c: dw });
}
