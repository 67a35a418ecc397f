import fc from "fast-check";
import { GPU } from "gpu.js";
import { beforeAll, expect, it } from "vitest";
import { anyConv, CONV_RESULTS, convAttrs, convOracles, convShapes } from "../../test/convProperties.ts";
import {
  backward,
  conv2d,
  conv2dAct,
  matmul,
  Random,
  readTensors,
  referenceBackend,
  setBackend,
  silu,
  sizeOf,
  tensor,
} from "../index.ts";

beforeAll(() => setBackend(referenceBackend({ floatBits: 64, poison: true })));

const draw = (length: number, seed: number): Float64Array => {
  const random = new Random(seed);
  return Float64Array.from({ length }, () => random.uniform() * 2 - 1);
};

/** The number that stands for a list of equal ones. */
const shortened = <List extends readonly number[]>(list: List): List | number =>
  list.every((n) => n === list[0]) ? list[0]! : list;

it("conv2d and both its gradients equal sums over explicit terms", async () => {
  await fc.assert(
    fc.asyncProperty(anyConv, fc.nat(), async (test, seed) => {
      const shapes = convShapes(test);
      const [x, weight] = [draw(sizeOf(shapes.x), seed), draw(sizeOf(shapes.weight), seed + 1)];
      const dy = draw(sizeOf(shapes.y), seed + 2);
      const expected = convOracles(test, { x, weight, dy });
      const [input, kernel] = [tensor(x, shapes.x), tensor(weight, shapes.weight)];
      input.requiresGrad = true;
      kernel.requiresGrad = true;
      const { stride, padding, dilation, groups } = convAttrs(test);
      const output = conv2d(input, kernel, {
        stride: shortened(stride),
        padding: shortened(padding),
        dilation: shortened(dilation),
        groups,
      });
      expect(output.shape).toEqual(shapes.y);
      backward(output, tensor(dy, shapes.y));
      const arrays = await readTensors([output, input.grad!, kernel.grad!]);
      for (const [i, name] of CONV_RESULTS.entries()) expectAll(arrays[i]!, expected[name].values);
    }),
    { numRuns: 60 },
  );
});

it("matmul equals three loops", async () => {
  const size = fc.integer({ min: 1, max: 9 });
  await fc.assert(
    fc.asyncProperty(size, size, size, async (m, k, n) => {
      const [a, b] = [draw(m * k, m), draw(k * n, n)];
      const expected = new Float64Array(m * n);
      for (let i = 0; i < m; i++)
        for (let j = 0; j < n; j++) for (let p = 0; p < k; p++) expected[i * n + j]! += a[i * k + p]! * b[p * n + j]!;
      const plain = await matmul(tensor(a, [m, k]), tensor(b, [k, n])).data();
      const turned = await matmul(tensor(b, [k, n]).transpose(0, 1), tensor(a, [m, k]).transpose(0, 1))
        .transpose(0, 1)
        .data();
      for (let i = 0; i < expected.length; i++) {
        expect(plain[i]).toBeCloseTo(expected[i]!, 12);
        expect(turned[i]).toBeCloseTo(expected[i]!, 12);
      }
    }),
  );
});

function expectAll(actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) expect(actual[i]).toBeCloseTo(expected[i]!, 10);
}

interface KernelThread {
  readonly thread: { readonly x: number; readonly y: number; readonly z: number };
}

it("matmul and conv2d agree with gpu.js", async () => {
  const gpu = new GPU({ mode: "cpu" });
  const [m, k, n] = [7, 13, 5];
  const [a, b] = [draw(m * k, 1), draw(k * n, 2)];
  const multiply = gpu.createKernel(
    // The body is compiled by gpu.js, which knows plain `function`s only.
    function (this: KernelThread, left: number[], right: number[], inner: number, columns: number) {
      let sum = 0;
      for (let i = 0; i < inner; i++) sum += left[this.thread.y * inner + i]! * right[i * columns + this.thread.x]!;
      return sum;
    } as never,
    { output: [n, m] },
  ) as (...args: unknown[]) => Float32Array[];
  const product = multiply([...a], [...b], k, n).flatMap((row) => [...row]);
  const ours = await matmul(tensor(a, [m, k]), tensor(b, [k, n])).data();
  product.forEach((value, i) => {
    expect(ours[i]).toBeCloseTo(value, 5);
  });

  const [channels, height, width, out] = [3, 6, 8, 4];
  const [x, w] = [draw(channels * height * width, 3), draw(out * channels * 9, 4)];
  const convolve = gpu.createKernel(
    function (this: KernelThread, image: number[], kernel: number[], ci: number, h: number, wd: number) {
      let sum = 0;
      for (let c = 0; c < ci; c++)
        for (let ky = 0; ky < 3; ky++)
          for (let kx = 0; kx < 3; kx++)
            sum +=
              image[(c * h + this.thread.y + ky) * wd + this.thread.x + kx]! *
              kernel[((this.thread.z * ci + c) * 3 + ky) * 3 + kx]!;
      return sum;
    } as never,
    { output: [width - 2, height - 2, out] },
  ) as (...args: unknown[]) => Float32Array[][];
  const convolved = convolve([...x], [...w], channels, height, width).flatMap((plane) =>
    plane.flatMap((row) => [...row]),
  );
  const y = await conv2d(tensor(x, [1, channels, height, width]), tensor(w, [out, channels, 3, 3])).data();
  expect(y.length).toBe(convolved.length);
  convolved.forEach((value, i) => {
    expect(y[i]).toBeCloseTo(value, 5);
  });
});

it("conv2dAct is conv2d, factor, bias, activation, scale and shift, with a gradient and without", async () => {
  const [shape, channels] = [[2, 3, 4, 5], 4];
  const x = tensor(draw(120, 1), shape);
  const weight = tensor(draw(channels * 3 * 9, 2), [channels, 3, 3, 3]);
  const [bias, factor] = [tensor(draw(channels, 3)), tensor(draw(channels, 4))];
  const affine = { scale: tensor([1.5]), shift: tensor([-0.5]) };
  const perChannel = (t: typeof bias) => t.reshape([1, -1, 1, 1]);
  const sums = conv2d(x, weight, { padding: 1 });
  const biased = sums.mul(perChannel(factor)).add(perChannel(bias));
  const plain = await conv2dAct(x, weight, { padding: 1, bias }).data();
  const full = { padding: 1, bias, factor, activation: "silu", affine } as const;
  const [expectedPlain, expected] = await readTensors([sums.add(perChannel(bias)), silu(biased).mul(1.5).sub(0.5)]);
  expectAll(plain, expectedPlain!);
  expectAll(await conv2dAct(x, weight, full).data(), expected!);
  const { factor: _, ...withoutFactor } = full;
  const ofBias = silu(sums.add(perChannel(bias)))
    .mul(1.5)
    .sub(0.5);
  expectAll(await conv2dAct(x, weight, withoutFactor).data(), await ofBias.data());
  weight.requiresGrad = true;
  const recorded = conv2dAct(x, weight, full);
  expectAll(await recorded.data(), expected!);
  backward(recorded.sum());
  const gradient = await weight.grad!.data();
  weight.grad = undefined;
  backward(
    silu(conv2d(x, weight, { padding: 1 }).mul(perChannel(factor)).add(perChannel(bias)))
      .mul(1.5)
      .sum(),
  );
  expectAll(gradient, await weight.grad!.data());
  expect(() => conv2dAct(x, weight, { bias: tensor([1, 2]) })).toThrow(
    "conv2dAct: bias is [2]; it takes [Co] with Co = 4",
  );
});
