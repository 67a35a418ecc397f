import { cpu } from "@dfine/backend-cpu";
import { webgpu } from "@dfine/backend-webgpu";
import { backward, referenceBackend, setBackend, setTrace, tensor, withBackend } from "@dfine/tensor";
import { conformance } from "@dfine/tensor/testing";
import { afterAll, describe, expect, it } from "vitest";
import { cumulativeSum, cumulativeSumKernels } from "./cumulativeSum.ts";

const gpu = await webgpu({ kernels: cumulativeSumKernels });
const threads = cpu({ threads: 1 });
afterAll(() => {
  for (const backend of [gpu, threads]) backend.dispose();
});

describe.each([
  ["the reference in float64", referenceBackend({ floatBits: 64 })],
  ["the CPU, by the fallback", threads],
  ["WebGPU, by its own kernel", gpu],
] as const)("an op from outside conforms on %s", (_, backend) => {
  const checks = conformance(backend).filter(({ name }) => name.startsWith("cumulativeSum "));
  it("has checks", () => expect(checks.length).toBeGreaterThan(7));
  for (const check of checks) it(check.name, () => check.run());
});

it("sums rows; the gradient counts how often an element is summed", async () => {
  setBackend(threads);
  const x = tensor([1, 2, 3, 10, 20, 30], [2, 3]);
  x.requiresGrad = true;
  const sums = cumulativeSum(x);
  expect([...(await sums.data())]).toEqual([1, 3, 6, 10, 30, 60]);
  backward(sums.sum());
  expect([...(await x.grad!.data())]).toEqual([3, 2, 1, 3, 2, 1]);
});

it("the backend that has a kernel runs it", async () => {
  const kernels: string[] = [];
  setTrace(({ op, kernel }) => kernels.push(`${op} ${typeof kernel === "string" ? kernel : "generated"}`));
  const values = await withBackend(gpu, () => cumulativeSum(tensor([1, 2, 3], [1, 3]))).data();
  setTrace(undefined);
  expect([...values]).toEqual([1, 3, 6]);
  expect(kernels).toEqual(["cumulativeSum rows"]);
});
