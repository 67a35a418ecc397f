import { beforeAll, expect, it } from "vitest";
import {
  backward,
  batchNorm,
  fillInto,
  GradientError,
  layerNorm,
  logSoftmax,
  noGrad,
  referenceBackend,
  setBackend,
  setTrace,
  silu,
  softmax,
  type Tensor,
  tensor,
} from "../index.ts";
import { describe as describeKernel } from "../kernel/index.ts";

beforeAll(() => setBackend(referenceBackend({ floatBits: 64 })));

/** Text of every generated kernel that `body` runs. */
function kernelsOf(body: () => void): string[] {
  const texts: string[] = [];
  setTrace(({ kernel }) => texts.push(typeof kernel === "string" ? kernel : describeKernel(kernel)));
  body();
  setTrace(undefined);
  return texts;
}

const leaf = (shape: readonly number[]): Tensor => {
  const t = tensor(new Float64Array(shape.reduce((a, b) => a * b, 1)).fill(0.5), shape);
  t.requiresGrad = true;
  return t;
};

it("an activation and its derived gradient are one kernel each", () => {
  const x = leaf([2, 3]);
  const dy = tensor([1, 2, 3, 4, 5, 6], [2, 3]);
  expect(kernelsOf(() => backward(silu(x), dy)).join("\n")).toMatchInlineSnapshot(`
    "silu over map
      store x1 = (x0 · sigmoid(x0))
    siluBackward over map
      store x2 = ((x1 · sigmoid(x0)) + (((x1 · x0) · sigmoid(x0)) · (1 − sigmoid(x0))))"
  `);
});

it("softmax's gradient reads what softmax stored", () => {
  const x = leaf([2, 3]);
  const dy = tensor([1, 2, 3, 4, 5, 6], [2, 3]);
  expect(kernelsOf(() => backward(softmax(x), dy)).join("\n")).toMatchInlineSnapshot(`
    "softmax over map reduce
      r0 = max x0
      r1 = sum exp((x0 − r0))
      store x1 = (exp((x0 − r0)) / r1)
    softmaxBackward over map reduce
      r0 = sum (x1 · x0)
      store x2 = ((x1 · x0) + ((-1 · r0) · x0))"
  `);
});

it("log-softmax's gradient folds nothing again: the reductions it needs were stored", () => {
  const x = leaf([2, 3]);
  const dy = tensor([1, 2, 3, 4, 5, 6], [2, 3]);
  expect(kernelsOf(() => backward(logSoftmax(x), dy)).join("\n")).toMatchInlineSnapshot(`
    "logSoftmax over map reduce
      r0 = max x0
      r1 = sum exp((x0 − r0))
      store x1 = ((x0 − r0) − log(r1))
      store per row x2 = r0, x3 = r1
    logSoftmaxBackward over map reduce
      r0 = sum x3
      store x4 = (x3 + (((-1 · r0) / x2) · exp((x0 − x1))))"
  `);
});

it("what is not recorded stores no reductions", () => {
  const kernels = kernelsOf(() => noGrad(() => logSoftmax(leaf([2, 3]))));
  expect(kernels.join("\n")).not.toContain("per row");
});

it("batch normalisation's gradient sums in one run through each channel, and no sum waits for another", () => {
  const [x, weight, bias] = [leaf([2, 3, 4, 1]), leaf([3]), leaf([3])];
  const dy = tensor(new Float64Array(24).fill(1), [2, 3, 4, 1]);
  const kernels = kernelsOf(() => backward(batchNorm(x, { weight, bias, activation: "relu" }).output, dy));
  const sums = kernels.find((text) => text.startsWith("batchNorm.reluBackward"))!.match(/r\d = sum .*/g)!;
  expect(sums).toHaveLength(3);
  expect(sums.map((text) => text.replace(/^r\d/, "")).join()).not.toMatch(/r\d/);
});

it("softmax's input may change before the gradient, its output may not", async () => {
  const [x, dy] = [leaf([2, 3]), tensor([1, 2, 3, 4, 5, 6], [2, 3])];
  const scores = x.mul(2);
  const y = softmax(scores);
  const wanted = y.mul(dy.sub(y.mul(dy).sum(-1, { keepDim: true }))).mul(2);
  fillInto(scores.detach(), 7);
  backward(y, dy);
  const expected = await wanted.data();
  for (const [i, value] of (await x.grad!.data()).entries()) expect(value).toBeCloseTo(expected[i]!, 12);
  const changed = softmax(x.mul(2));
  fillInto(changed.detach(), 0);
  expect(() => backward(changed, dy)).toThrow(GradientError);
});

it("layer normalisation's gradient is one kernel, and one of sums over rows for weight and bias", () => {
  const [x, weight, bias] = [leaf([2, 3]), leaf([3]), leaf([3])];
  const dy = tensor([1, 2, 3, 4, 5, 6], [2, 3]);
  const kernels = kernelsOf(() => backward(layerNorm(x, { weight, bias }), dy));
  expect(kernels.map((text) => text.split(" ")[0])).toMatchInlineSnapshot(`
    [
      "layerNorm",
      "layerNormBackward",
      "sumTo",
    ]
  `);
});
