import {
  type Backend,
  callable,
  checkOptions,
  measureCeiling,
  type OptionRules,
  profiled,
  profileTable,
  whole,
} from "@dfine/tensor";

/** Names that `resolveBackend` takes. */
export const DEVICE_NAMES = ["auto", "cpu", "webgpu"] as const;
/** One of `DEVICE_NAMES`; "auto" takes a GPU that WebGPU can use where there is one, and the CPU otherwise. */
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
  readonly threads?: number | undefined;
  /** Kernels of the CPU at twice the width of WebAssembly's vectors: where the machine has them (default), or never. */
  readonly wide?: "auto" | false | undefined;
  /** Told in words which device "auto" has taken. */
  readonly onDevice?: (text: string) => void;
}

export const DEVICE_OPTIONS: OptionRules<DeviceOptions> = {
  threads: whole(1),
  wide: { takes: '"auto" or false', fits: (value) => value === "auto" || value === false },
  onDevice: callable,
};

/** A backend to compute on; disposing this disposes it if it was made here. */
export interface ResolvedDevice extends Disposable {
  /** The backend of now: another one after each lost device. */
  readonly backend: Backend;
  /** Makes the device anew when it is lost, and disposes what is left of it; absent where a device is never lost. */
  readonly reviveBackend?: (lost: Backend) => Promise<Backend>;
}

type Loader = (options: DeviceOptions) => Promise<Backend>;

const loadCpu: Loader = async ({ threads, wide }) => {
  const { cpu } = await import("@dfine/backend-cpu");
  const backend = cpu({ ...(threads !== undefined && { threads }), ...(wide !== undefined && { wide }) });
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

/** The GPU where there is one; an adapter that computes in software is slower than the CPU backend. */
const loadBest: Loader = async (options) => {
  let reason = "";
  try {
    const { hardwareWebgpu } = await import("@dfine/backend-webgpu");
    const gpu = await hardwareWebgpu();
    if (gpu) {
      options.onDevice?.(`${gpu.adapterName}, through WebGPU`);
      return gpu;
    }
  } catch (error) {
    reason = `, because ${(error as Error).message}`;
  }
  options.onDevice?.(`CPU${reason}`);
  return await loadCpu(options);
};

/** With the environment variable TRACE, in Node: the backend, which tells where its time went when it is disposed. */
async function traced(backend: Backend): Promise<Backend> {
  const { process } = globalThis;
  if (["", "0"].includes(process?.env?.TRACE ?? "")) return backend;
  const { backend: watched, profile } = profiled(backend, await measureCeiling(backend));
  const dispose = (): void => {
    process.stderr.write(`${profileTable(profile())}\n`);
    backend.dispose();
  };
  return Object.create(watched, { dispose: { value: dispose } });
}

const LOADERS: Record<DeviceName, Loader> = { auto: loadBest, cpu: loadCpu, webgpu: loadWebGpu };

/**
 * Makes the backend of a device name; its package is loaded only now. A backend is handed back as it is.
 * @throws DeviceError for a device that is not there
 */
export async function resolveDevice(device: Device, options: DeviceOptions = {}): Promise<ResolvedDevice> {
  if (typeof device !== "string") return { backend: device, [Symbol.dispose]: () => {} };
  if (!Object.hasOwn(LOADERS, device))
    throw new DeviceError(`device ${JSON.stringify(device)} is unknown; choose one of ${DEVICE_NAMES.join(", ")}`);
  let backend = await traced(await LOADERS[device](options));
  // A driver may take a GPU away while it is in use.
  const reviveBackend = async (lost: Backend): Promise<Backend> => {
    lost.dispose();
    backend = await traced(await loadWebGpu(options));
    return backend;
  };
  return {
    get backend() {
      return backend;
    },
    ...(backend.name === "webgpu" ? { reviveBackend } : {}),
    [Symbol.dispose]: () => backend.dispose(),
  };
}

/** `resolveDevice` for callers that dispose whatever they get. @throws DeviceError, ArgumentError for options */
export async function resolveBackend(device: Device, options: DeviceOptions = {}): Promise<Backend> {
  checkOptions("resolveBackend", options, DEVICE_OPTIONS);
  return (await resolveDevice(device, options)).backend;
}
