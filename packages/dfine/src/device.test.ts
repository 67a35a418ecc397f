import { noGrad, readResults, tensor } from "@dfine/tensor";
import { afterEach, expect, test, vi } from "vitest";
import { DeviceError, resolveDevice } from "./device.ts";

const { hardwareWebgpu } = vi.hoisted(() => ({ hardwareWebgpu: vi.fn() }));
vi.mock("@dfine/backend-webgpu", () => ({ hardwareWebgpu }));
afterEach(() => {
  hardwareWebgpu.mockReset();
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

/** What "auto" comes to, and what is said of it. */
async function auto() {
  const said: string[] = [];
  const device = await resolveDevice("auto", { threads: 1, onDevice: (text) => said.push(text) });
  return { ...device, said };
}

test("auto takes the GPU where there is one, and can have it again when it is lost", async () => {
  const gpu = { name: "webgpu", adapterName: "Some GPU" };
  hardwareWebgpu.mockResolvedValue(gpu);
  const { backend, reviveBackend, said } = await auto();
  expect(backend).toBe(gpu);
  expect(reviveBackend).toBeDefined();
  expect(said).toEqual(["Some GPU, through WebGPU"]);
});

test("auto takes the CPU where there is no adapter, without giving reasons", async () => {
  hardwareWebgpu.mockResolvedValue(undefined);
  const { backend, reviveBackend, said } = await auto();
  backend.dispose();
  expect([backend.name, reviveBackend, said]).toEqual(["cpu", undefined, ["CPU"]]);
});

test("auto takes the CPU where an adapter cannot be used, and says why", async () => {
  hardwareWebgpu.mockRejectedValue(new Error("webgpu: the only adapter here, llvmpipe, computes in software"));
  const { backend, said } = await auto();
  backend.dispose();
  expect(said).toEqual(["CPU, because webgpu: the only adapter here, llvmpipe, computes in software"]);
});

test("an unknown device is refused", async () => {
  await expect(resolveDevice("tpu" as "cpu")).rejects.toThrow(DeviceError);
});

/** What a program that multiplies two numbers writes to stderr until its device is disposed. */
async function traceOf(variable: string): Promise<string> {
  vi.stubEnv("TRACE", variable);
  const written: string[] = [];
  vi.spyOn(process.stderr, "write").mockImplementation((text) => written.push(String(text)) > 0);
  const device = await resolveDevice("cpu", { threads: 1 });
  await readResults(device.backend, () => [noGrad(() => tensor([2]).mul(3))]);
  device[Symbol.dispose]();
  return written.join("");
}

test("TRACE=1 tells where the time went when the device is disposed; else nothing is watched", async () => {
  expect(await traceOf("")).toBe("");
  expect(await traceOf("0")).toBe("");
  const told = await traceOf("1");
  expect(told).toMatch(/^ +calls +kernels +ms .* op and kernel\n(.*\n)* +1 +1 .* mul generated\n/);
  expect(told).toMatch(/\nceiling: [\d.]+ GFLOP\/s in a product, [\d.]+ GB\/s in a copy\n$/);
});
