import { afterEach, expect, test, vi } from "vitest";
import { DeviceError, resolveDevice } from "./device.ts";

const { hardwareWebgpu } = vi.hoisted(() => ({ hardwareWebgpu: vi.fn() }));
vi.mock("@dfine/backend-webgpu", () => ({ hardwareWebgpu }));
afterEach(() => hardwareWebgpu.mockReset());

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
