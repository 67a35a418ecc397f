import { conv2d, gradients, Random, readResults, tensor } from "@dfine/tensor";
import { resolveBackend } from "dfine";
import { afterAll, expect, it } from "vitest";
import { gradientWork } from "./convGradients.ts";
import { difference } from "./measure.ts";

const backend = await resolveBackend("cpu", { threads: 1 });
afterAll(() => backend.dispose());

const [channels, size, kernel] = [3, 7, 3];
const map = [1, channels, size, size];
const weight = [channels, channels, kernel, kernel];
const length = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

it.each([
  ["input", weight],
  ["weight", map],
] as const)("computes what autograd does: %s", async (gradient, second) => {
  const random = new Random(1);
  const drawn = (shape: readonly number[]) =>
    Float32Array.from({ length: length(shape) }, () => 2 * random.uniform() - 1);
  const [dy, other] = [drawn(map), drawn(second)];
  const isInput = gradient === "input";
  const [expected] = await readResults(backend, () => {
    const x = tensor(isInput ? new Float32Array(length(map)) : other, map);
    const w = tensor(isInput ? other : new Float32Array(length(weight)), weight);
    const both = gradients(([a, b]) => conv2d(a!, b!, { padding: 1 }), { inputs: [x, w], dy: tensor(dy, map) });
    return [both[isInput ? 0 : 1]!];
  });
  const work = gradientWork({ name: "small", gradient, channels, size, kernel }, { device: undefined });
  const ours = await work.ours(backend);
  await ours.run();
  const [got] = await ours.outputs!();
  expect(difference(got!, expected!)).toBeLessThan(1e-6);
  expect(work.cost.flops).toBe(2 * channels * channels * kernel * kernel * size * size);
  ours.dispose();
});
