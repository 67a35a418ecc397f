import { makeBackend, type WebGpuBackend } from "../src/backend.ts";
import { openDevice } from "../src/device/openDevice.ts";

/**
 * Backends on one device, which compiles a kernel once for all that have it: in software that takes longer than most kernels
 * run. A backend that is disposed leaves the device to the others.
 */
export async function oneDevice(): Promise<{
  make(options?: Parameters<typeof makeBackend>[1]): WebGpuBackend;
  destroy(): void;
}> {
  const open = await openDevice();
  const destroy = open.device.destroy.bind(open.device);
  open.device.destroy = () => undefined;
  return { make: (options = {}) => makeBackend(open, options).backend, destroy };
}
