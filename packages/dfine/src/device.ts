import type { Backend } from "@dfine/tensor";

/** Names that `resolveBackend` takes. */
export const DEVICE_NAMES = ["auto", "cpu", "webgpu"] as const;
/** One of `DEVICE_NAMES`; "auto" takes the best that is there. */
export type DeviceName = (typeof DEVICE_NAMES)[number];

/** Where to compute: a name, or a backend that the caller made and disposes. */
export type Device = DeviceName | Backend;

/** A device that this installation or machine does not have; the message says what to do. */
export class DeviceError extends Error {
  override readonly name = "DeviceError";
}

/** What a device that is made by name may be told. */
export interface DeviceOptions {
  /** Threads of the CPU backend; default: as many as the machine has cores. */
  readonly threads?: number;
}

/** A backend, and whether it was made here, so that its maker can dispose it. */
export interface ResolvedDevice {
  readonly backend: Backend;
  readonly owned: boolean;
  /** Makes the device anew when it is lost, and disposes what is left of it; absent where a device is never lost. */
  readonly revive?: (lost: Backend) => Promise<Backend>;
}

type Loader = (options: DeviceOptions) => Promise<Backend>;

const loadCpu: Loader = async (options) => {
  const { cpu } = await import("@dfine/backend-cpu");
  const backend = cpu(options);
  try {
    await backend.ready();
  } catch (error) {
    backend.dispose();
    throw error;
  }
  return backend;
};

const loadWebGpu: Loader = async () => {
  const { webgpu } = await import("@dfine/backend-webgpu");
  return webgpu();
};

const LOADERS: Record<DeviceName, Loader> = { auto: loadCpu, cpu: loadCpu, webgpu: loadWebGpu };

/** Devices that a driver may take away while they are in use. */
const CAN_BE_LOST: ReadonlySet<DeviceName> = new Set(["webgpu"]);

/**
 * Makes the backend of a device name; its package is loaded only now. A backend is handed back as it is.
 * @throws DeviceError for a device that is not there
 */
export async function resolveDevice(device: Device, options: DeviceOptions = {}): Promise<ResolvedDevice> {
  if (typeof device !== "string") return { backend: device, owned: false };
  if (!Object.hasOwn(LOADERS, device))
    throw new DeviceError(`device ${JSON.stringify(device)} is unknown; choose one of ${DEVICE_NAMES.join(", ")}`);
  const load = () => LOADERS[device](options);
  const revive = async (lost: Backend): Promise<Backend> => {
    lost.dispose();
    return load();
  };
  return { backend: await load(), owned: true, ...(CAN_BE_LOST.has(device) ? { revive } : {}) };
}

/** `resolveDevice` for callers that dispose whatever they get. @throws DeviceError */
export async function resolveBackend(device: Device, options: DeviceOptions = {}): Promise<Backend> {
  return (await resolveDevice(device, options)).backend;
}
