import { conv2d, gradients, matmul, profiled, Random, readResults, type Tensor, tensor } from "@dfine/tensor";
import { expect, test } from "vitest";
import { cpu } from "./index.ts";

const random = new Random(3);
const values = (...shape: number[]): Tensor =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.uniform()),
    shape,
  );

test.each([1, 2])(
  "hand-written kernels on %i threads: exact counts of a small model, whatever runs",
  async (threads) => {
    const backend = cpu({ threads });
    await backend.ready();
    const { backend: watched, profile } = profiled(backend);
    await readResults(watched, () => {
      const inputs = [values(2, 4, 12, 10), values(8, 2, 3, 3), values(30, 7)];
      const model = ([x, weight, w]: readonly Tensor[]): Tensor =>
        matmul(conv2d(x!, weight!, { stride: 2, padding: 1, groups: 2 }).reshape([-1, 30]), w!);
      return gradients(model, { inputs, dy: values(16, 7) });
    });
    const { ops, wall, reading, elsewhere } = profile();
    backend.dispose();
    const of = (name: string) => ops.filter(({ op }) => op === name);
    // 2 · 8 maps of 6 × 5 sums of 2 · 3 · 3 products.
    const flops = 2 * 2 * 8 * 30 * 18;
    const [x, y, weight] = [2 * 4 * 120, 2 * 8 * 30, 8 * 18];
    for (const [op, touched] of Object.entries({
      conv2d: x + weight,
      conv2dInputGrad: x + weight,
      conv2dWeightGrad: x + weight,
    }))
      expect(of(op)).toMatchObject([{ calls: 1, flops, bytes: 4 * (touched + y) }]);
    const products = of("matmul");
    expect(products.reduce((sum, op) => sum + op.calls, 0)).toBe(3);
    expect(products.reduce((sum, op) => sum + op.flops, 0)).toBe(3 * 2 * 16 * 30 * 7);
    expect(products.reduce((sum, op) => sum + op.bytes, 0)).toBe(3 * 4 * (16 * 30 + 30 * 7 + 16 * 7));
    for (const { milliseconds, waiting, launches, calls, host } of ops) {
      expect(launches).toBeGreaterThanOrEqual(calls);
      expect(milliseconds).toBeGreaterThan(0);
      expect(host).toBeGreaterThan(0);
      expect(waiting).toBeLessThanOrEqual(milliseconds!);
      if (threads === 1) expect(waiting).toBe(0);
    }
    const held = ops.reduce((sum, { milliseconds = 0, host }) => sum + milliseconds + host, 0);
    expect(held + reading + elsewhere).toBeCloseTo(wall, 6);
  },
);
