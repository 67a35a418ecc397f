import { makeBackend, type WebGpuBackend } from "../src/backend.ts";
import { openDevice } from "../src/device/openDevice.ts";
import type { GpuRuntime } from "../src/kernels/runtime.ts";
import type { WebGpuOptions } from "../src/options.ts";

/** Test helper: a backend together with what its hand-written kernels run on. */
export async function testDevice(
  options: WebGpuOptions = {},
): Promise<{ backend: WebGpuBackend; runtime: GpuRuntime }> {
  return makeBackend(await openDevice(), options);
}
