import { beforeAll, expect, it } from "vitest";
import {
  backward,
  layerNorm,
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

it("softmax's gradient is one kernel", () => {
  const x = leaf([2, 3]);
  const dy = tensor([1, 2, 3, 4, 5, 6], [2, 3]);
  expect(kernelsOf(() => backward(softmax(x), dy)).join("\n")).toMatchInlineSnapshot(`
    "softmax over map reduce
      r0 = max x0
      r1 = sum exp((x0 − r0))
      store x1 = (exp((x0 − r0)) / r1)
    softmaxBackward over map reduce
      r0 = max x0
      r1 = sum exp((x0 − r0))
      r2 = sum (((x1 · (exp((x0 − r0)) / r1)) / r1) · -1)
      store x2 = (((x1 / r1) · exp((x0 − r0))) + (r2 · exp((x0 − r0))))"
  `);
});

it("layer normalisation's gradient is one kernel, and sums over rows for weight and bias", () => {
  const [x, weight, bias] = [leaf([2, 3]), leaf([3]), leaf([3])];
  const dy = tensor([1, 2, 3, 4, 5, 6], [2, 3]);
  const kernels = kernelsOf(() => backward(layerNorm(x, { weight, bias }), dy));
  expect(kernels.map((text) => text.split(" ")[0])).toMatchInlineSnapshot(`
    [
      "layerNorm",
      "layerNormBackward",
      "sumTo",
      "sumTo",
    ]
  `);
});
