import fc from "fast-check";
import { expect, it } from "vitest";
import { anyConv, convAttrs, convShapes, eachProduct } from "../../test/convProperties.ts";
import type { View } from "../backend.ts";
import { contiguousStrides } from "../shape.ts";
import { type ConvWindows, forwardWindows, inputGradWindows, pointwiseProduct } from "./convolution.ts";
import { convKind } from "./windows.ts";

const viewOf = (shape: readonly number[]): View => ({
  buffer: { dtype: "f32", length: 0 },
  dtype: "f32",
  shape,
  strides: contiguousStrides(shape),
  offset: 0,
});

/** Flat positions [c, x, weight] of every product that windows sum, where x is inside, as text. */
function productsOf({ c, x, weight, groups, weightStrides, axes }: ConvWindows): string[] {
  const [batch, rows, cHeight, cWidth] = c.shape as [number, number, number, number];
  const [, channels, height, width] = x.shape as [number, number, number, number];
  const found: string[] = [];
  for (const ay of axes[0])
    for (const ax of axes[1])
      for (let b = 0; b < batch; b++)
        for (let m = 0; m < rows; m++)
          for (let k = 0; k < channels / groups; k++)
            for (let oy = 0; oy < ay.outputs; oy++)
              for (let ox = 0; ox < ax.outputs; ox++)
                for (let ty = 0; ty < ay.taps; ty++)
                  for (let tx = 0; tx < ax.taps; tx++) {
                    const group = Math.floor(m / (rows / groups));
                    const [iy, ix] = [
                      oy * ay.step + ay.base + ty * ay.tapStep,
                      ox * ax.step + ax.base + tx * ax.tapStep,
                    ];
                    if (iy < 0 || iy >= height || ix < 0 || ix >= width) continue;
                    const [cy, cx] = [ay.start + oy * ay.outStep, ax.start + ox * ax.outStep];
                    const [ky, kx] = [ay.firstTap + ty * ay.tapIndexStep, ax.firstTap + tx * ax.tapIndexStep];
                    const channel = group * (channels / groups) + k;
                    found.push(
                      [
                        ((b * rows + m) * cHeight + cy) * cWidth + cx,
                        ((b * channels + channel) * height + iy) * width + ix,
                        group * weightStrides.group +
                          (m % (rows / groups)) * weightStrides.row +
                          k * weightStrides.channel +
                          ky * weight.shape[3]! +
                          kx,
                      ].join(),
                    );
                  }
  return found.sort();
}

it("windows of a convolution and of its input's gradient hold its products, each once", () => {
  fc.assert(
    fc.property(anyConv, (test) => {
      const [attrs, shapes] = [convAttrs(test), convShapes(test)];
      const [x, weight, y] = [viewOf(shapes.x), viewOf(shapes.weight), viewOf(shapes.y)];
      const expected: (readonly [number, number, number])[] = [];
      eachProduct(test, (yi, xi, wi) => {
        if (xi !== undefined) expected.push([yi, xi, wi]);
      });
      expect(productsOf(forwardWindows({ x, weight, c: y }, attrs))).toEqual(expected.map((at) => at.join()).sort());
      const gradient = inputGradWindows({ x: y, weight, c: x }, { ...attrs, inputSize: [shapes.x[2], shapes.x[3]] });
      expect(productsOf(gradient)).toEqual(expected.map(([yi, xi, wi]) => [xi, yi, wi].join()).sort());
    }),
    { numRuns: 30 },
  );
});

it("pointwise windows are products of matrices over the same elements", () => {
  const attrs = { stride: [1, 1], padding: [0, 0, 0, 0], dilation: [1, 1], groups: 1 } as const;
  const [x, weight, y] = [viewOf([2, 3, 4, 5]), viewOf([7, 3, 1, 1]), viewOf([2, 7, 4, 5])];
  expect(convKind(attrs, [7, 3, 1, 1])).toBe("pointwise");
  const { a, b, c } = pointwiseProduct(forwardWindows({ x, weight, c: y }, attrs));
  expect([a, b, c].map((view) => [view.shape, view.strides])).toEqual([
    [
      [7, 3],
      [3, 1],
    ],
    [
      [2, 3, 20],
      [60, 20, 1],
    ],
    [
      [2, 7, 20],
      [140, 20, 1],
    ],
  ]);
  const gradient = pointwiseProduct(inputGradWindows({ x: y, weight, c: x }, { ...attrs, inputSize: [4, 5] }));
  expect([gradient.a.shape, gradient.a.strides]).toEqual([
    [3, 7],
    [1, 3],
  ]);
});
