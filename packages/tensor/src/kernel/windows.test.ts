import fc from "fast-check";
import { expect, it } from "vitest";
import { convKind, forwardAxis, inputGradAxes, type WindowAxis } from "./windows.ts";

const size = (max: number) => fc.integer({ min: 1, max });
const geometry = fc
  .record({
    stride: size(4),
    dilation: size(3),
    before: fc.integer({ min: 0, max: 4 }),
    kernel: size(5),
    input: size(12),
  })
  .map(({ stride, dilation, before, kernel, input }) => ({
    ...{ stride, dilation, before, kernel, input },
    attrs: { stride: [stride, 1], padding: [before, 0, 0, 0], dilation: [dilation, 1], groups: 1 } as const,
  }));

/** Every [position of an output, index in the kernel, position of the input], as text. */
const products = (axes: readonly WindowAxis[]): string[] =>
  axes.flatMap((axis) =>
    Array.from({ length: axis.outputs }, (_, i) =>
      Array.from({ length: axis.taps }, (_, j) =>
        [
          axis.start + i * axis.outStep,
          axis.firstTap + j * axis.tapIndexStep,
          i * axis.step + axis.base + j * axis.tapStep,
        ].join(),
      ),
    ).flat(),
  );

it("a convolution's outputs read o · stride + k · dilation − padding", () => {
  fc.assert(
    fc.property(geometry, size(8), ({ attrs, stride, dilation, before, kernel }, outputs) => {
      const expected: string[] = [];
      for (let o = 0; o < outputs; o++)
        for (let k = 0; k < kernel; k++) expected.push([o, k, o * stride + k * dilation - before].join());
      expect(products([forwardAxis(attrs, { side: 0, kernel, outputs })])).toEqual(expected);
    }),
  );
});

it("its input's gradient reads every output that read the position, and no other", () => {
  fc.assert(
    fc.property(geometry, ({ attrs, stride, dilation, before, kernel, input }) => {
      const expected: string[] = [];
      for (let position = 0; position < input; position++)
        for (let k = 0; k < kernel; k++)
          for (let o = -20; o <= 20; o++)
            if (o * stride + k * dilation - before === position) expected.push([position, k, o].join());
      const axes = inputGradAxes({ ...attrs, inputSize: [input, 1] }, { side: 0, kernel });
      expect(products(axes).sort()).toEqual(expected.sort());
    }),
  );
});

it("kinds are told by attributes and the weight's shape", () => {
  const attrs = { stride: [1, 1], padding: [0, 0, 0, 0], dilation: [1, 1], groups: 1 } as const;
  expect(convKind(attrs, [8, 4, 1, 1])).toBe("pointwise");
  expect(convKind({ ...attrs, padding: [0, 0, 0, 1] }, [8, 4, 1, 1])).toBe("windows");
  expect(convKind({ ...attrs, stride: [1, 2] }, [8, 4, 1, 1])).toBe("windows");
  expect(convKind({ ...attrs, groups: 8 }, [8, 1, 3, 3])).toBe("depthwise");
  expect(convKind({ ...attrs, groups: 4 }, [8, 1, 3, 3])).toBe("windows");
});
