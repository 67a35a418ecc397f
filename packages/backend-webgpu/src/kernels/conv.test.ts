import { conv2d, conv2dAct, gradients, type Tensor } from "@dfine/tensor";
import { afterAll, describe, expect, it } from "vitest";
import {
  type ConvActData,
  type ConvCase,
  type ConvData,
  convActData,
  convActProperties,
  convAttrs,
  convData,
  convProperties,
  convShapes,
} from "../../../tensor/test/convProperties.ts";
import { evaluate, f32, reference, variants } from "../../test/opKit.ts";
import { productKinds } from "../../test/productKit.ts";

const kinds = await productKinds();
afterAll(() => {
  for (const [, backend] of kinds) backend.dispose();
});

/** x, weight and dy; the convolution and its gradients. */
function problem(test: ConvCase, data: ConvData = convData(test)) {
  const { x, weight, y } = convShapes(test);
  const convolve = ([a, b]: readonly Tensor[]): Tensor => conv2d(a!, b!, convAttrs(test));
  return {
    inputs: [f32(data.x, x), f32(data.weight, weight), f32(data.dy, y)],
    run: (tensors: readonly Tensor[]) => {
      const inputs = tensors.slice(0, 2);
      return [convolve(inputs), ...gradients(convolve, { inputs, dy: tensors[2]! })];
    },
  };
}

const [[, first]] = kinds as [(typeof kinds)[number]];
async function chosen(test: ConvCase): Promise<string[]> {
  const { inputs, run } = problem(test);
  return [...new Set((await variants(first, inputs, run)).map((name) => name.split(": ")[1]!))];
}

convProperties(
  {
    async run(test, data) {
      const { inputs, run } = problem(test, data);
      const all = [];
      for (const [, backend] of kinds) {
        const [y, dx, dw] = await evaluate(backend, inputs, run);
        all.push({ y: y!, dx: dx!, dw: dw! });
      }
      return all;
    },
    chosen,
  },
  { runs: 80 },
);

function actProblem(test: ConvCase, data: ConvActData = convActData(test)) {
  const { x, weight } = convShapes(test);
  const channels = [test.kernel[0]];
  return {
    inputs: [
      ...[f32(data.x, x), f32(data.weight, weight)],
      ...[f32(data.bias, channels), f32(data.factor, channels), f32([data.scale], [1]), f32([data.shift], [1])],
    ],
    run: ([x, weight, bias, factor, scale, shift]: readonly Tensor[]) => {
      const affine = { scale: scale!, shift: shift! };
      return [conv2dAct(x!, weight!, { ...convAttrs(test), bias: bias!, factor: factor!, activation: "relu", affine })];
    },
  };
}

convActProperties(
  async (test, data) => {
    const { inputs, run } = actProblem(test, data);
    const results = [];
    for (const [, backend] of kinds) results.push(...(await evaluate(backend, inputs, run)));
    return results;
  },
  { runs: 40 },
);

describe("conv2d and its gradients", () => {
  it("give the same bits on every run", async () => {
    const { inputs, run } = problem({ x: [2, 3, 50, 49], kernel: [4, 3, 3], padding: [1, 1, 1, 1] });
    for (const [, backend] of kinds)
      expect(await evaluate(backend, inputs, run)).toEqual(await evaluate(backend, inputs, run));
  });

  it("compile nothing for other sizes", async () => {
    const depthwise = { kernel: [64, 5, 5], padding: [2, 2, 2, 2], groups: 64 } as const;
    await chosen({ x: [1, 64, 4, 4], ...depthwise });
    await chosen({ x: [1, 64, 4, 4], kernel: [32, 1, 1] });
    const before = first.counters.pipelines;
    await chosen({ x: [1, 64, 5, 6], ...depthwise });
    await chosen({ x: [1, 60, 4, 4], kernel: [31, 1, 1] });
    expect(first.counters.pipelines).toBe(before);
  });
});

describe("conv2dAct", () => {
  const LAYERS: readonly ConvCase[] = [
    { x: [1, 64, 4, 4], kernel: [64, 5, 5], padding: [2, 2, 2, 2], groups: 64 },
    { x: [1, 64, 4, 4], kernel: [32, 1, 1] },
    { x: [1, 32, 8, 8], kernel: [16, 3, 3], stride: [2, 2], padding: [1, 1, 1, 1] },
  ];
  const dispatches = async (test: ConvCase): Promise<number> => {
    const { inputs, run } = actProblem(test);
    const before = first.counters.dispatches;
    await evaluate(first, inputs, run);
    return first.counters.dispatches - before;
  };

  it.each(LAYERS)("is one dispatch, $kernel", async (test) => {
    expect(await dispatches(test)).toBe(1);
  });

  it("compiles nothing for other sizes", async () => {
    for (const test of LAYERS) await dispatches(test);
    const before = first.counters.pipelines;
    for (const test of LAYERS) {
      const [b, c, h, w] = test.x;
      await dispatches({ ...test, x: [b, c, h + 1, w + 2] });
    }
    expect(first.counters.pipelines).toBe(before);
  });
});

/** Whole numbers whose sums of products float32 holds. */
const whole = (shape: readonly number[]) =>
  f32(
    Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => ((i * 7919) % 13) - 6),
    shape,
  );

describe.each(kinds)("of some channels of larger images, %s", (_, backend) => {
  it.each([1, 3])("with kernels of %i", async (side) => {
    const some = (x: Tensor): Tensor => x.slice([{}, { start: 3, end: 7 }]);
    const inputs = [whole([2, 10, 6, 7]), whole([4, 4, side, side]), whole([2, 11, 7 - side, 8 - side])];
    const run = ([x, weight, dy]: readonly Tensor[]) => {
      const convolve = ([a, b]: readonly Tensor[]): Tensor => conv2d(a!, b!);
      const leaves = [some(x!), weight!];
      return [convolve(leaves), ...gradients(convolve, { inputs: leaves, dy: some(dy!) })];
    };
    expect(await evaluate(backend, inputs, run)).toEqual(await evaluate(reference, inputs, run));
  });
});
