import { backward, batchNorm, Random, readResults, relu, type Tensor, tensor } from "@dfine/tensor";
import { afterAll, expect, it } from "vitest";
import { oneDevice } from "../../test/oneDevice.ts";
import { exact } from "../../test/opKit.ts";

const device = await oneDevice();
const backend = device.make({ barriers: true });
afterAll(() => device.destroy());

const SHAPES = {
  "few long rows": [2, 3, 128, 160],
  "rows that are no whole parts": [1, 2, 181, 183],
  short: [2, 3, 8, 8],
};

/** Output, statistics, moved statistics and gradients of batch norm on numbers far from 0. */
function norm(shape: readonly number[], values: Float32Array) {
  const channels = shape[1]!;
  const perChannel = (from: number): Tensor =>
    tensor(
      Float32Array.from({ length: channels }, (_, i) => from + i / 4),
      [channels],
    );
  const leaf = (x: Tensor): Tensor => {
    x.requiresGrad = true;
    return x;
  };
  const [x, weight, bias] = [leaf(tensor(values, shape)), leaf(perChannel(0.5)), leaf(perChannel(-0.25))];
  const running = { mean: perChannel(1), variance: perChannel(2), momentum: 0.1 };
  const { output, mean, variance } = batchNorm(x, { weight, bias, activation: "relu", running });
  backward(relu(output.add(x)).sum());
  return [output, mean, variance, running.mean, running.variance, x.grad!, weight.grad!, bias.grad!];
}

it.each(Object.entries(SHAPES))("batch norm of %s", async (_, shape) => {
  const random = new Random(3);
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => 20 + random.normal());
  const before = backend.counters.dispatches;
  const got = await readResults(backend, () => norm(shape, values));
  const dispatches = backend.counters.dispatches - before;
  const expected = await readResults(exact, () => norm(shape, values));
  for (const [i, wanted] of expected.entries()) {
    const [exactly, close] = [Array.from(wanted), Array.from(got[i]!)];
    const scale = exactly.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    const furthest = exactly.reduce((most, value, k) => Math.max(most, Math.abs(value - close[k]!)), 0);
    expect(furthest / scale).toBeLessThan(2e-5);
  }
  expect(dispatches).toBeGreaterThan(shape[2] === 128 ? 8 : 0);
  expect(dispatches).toBeLessThan(16);
});
