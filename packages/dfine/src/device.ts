import type { KeptChoices, TunedChoices } from "@dfine/backend-webgpu";
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
import { flag } from "./optionRules.ts";

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
  /** Kernels of a GPU by fixed rules instead of what was measured there: runs repeat each other's bits on any such adapter. */
  readonly deterministic?: boolean | undefined;
  /** Told in words which device "auto" has taken. */
  readonly onDevice?: (text: string) => void;
}

export const DEVICE_OPTIONS: OptionRules<DeviceOptions> = {
  threads: whole(1),
  wide: { takes: '"auto" or false', fits: (value) => value === "auto" || value === false },
  deterministic: flag,
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

const webGpuOptions = ({ deterministic }: DeviceOptions) => (deterministic ? ({ tuning: "fixed" } as const) : {});

const loadWebGpu: Loader = async (options) => {
  const { webgpu } = await import("@dfine/backend-webgpu");
  return webgpu(webGpuOptions(options));
};

/** The GPU where there is one; an adapter that computes in software is slower than the CPU backend. */
const loadBest: Loader = async (options) => {
  let reason = "";
  try {
    const { hardwareWebgpu } = await import("@dfine/backend-webgpu");
    const gpu = await hardwareWebgpu(webGpuOptions(options));
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

/**
 * With the environment variable TRACE, in Node: the backend, which tells where its time went when it is disposed. With "kernels"
 * WebGPU lists those that run otherwise too, joined as they are, and no ops.
 */
async function traced(backend: Backend): Promise<Backend> {
  const { process } = globalThis;
  const wanted = process?.env?.TRACE ?? "";
  if (["", "0"].includes(wanted) || (wanted === "kernels" && backend.name === "webgpu")) return backend;
  const { backend: watched, profile, settle } = profiled(backend, await measureCeiling(backend));
  const report = (): void => {
    process.stderr.write(`${profileTable(profile())}\n`);
    backend.dispose();
  };
  // A device tells times late; one that is lost tells no more.
  const tell = (): Promise<void> => settle().then(report, report);
  const dispose = (): void => void (backend.meter?.().clock ? tell() : report());
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

/** A WebGPU backend that measures its kernels of products, and what is kept of its adapter. */
export interface Tuning extends Disposable {
  readonly backend: Backend;
  /** What the adapter says of itself. */
  readonly adapter: string;
  readonly kept: KeptChoices;
  /** A file's text, and back. @throws BackendError */
  readonly read: (text: string, file: string) => TunedChoices;
  readonly write: (choices: TunedChoices) => string;
}

/**
 * Opens this machine's adapter for measuring, for so many seconds each time that kernels are compiled ahead; `again`: without
 * what is known of it.
 * @throws BackendError where there is no adapter
 */
export async function openTuning({ seconds, again }: { seconds: number; again: boolean }): Promise<Tuning> {
  const { keptChoices, noChoices, readChoices, webgpu, writeChoices } = await import("@dfine/backend-webgpu");
  const backend = await webgpu({
    ...{ tuning: "measured", tuningSeconds: seconds },
    ...(again ? { choices: noChoices("") } : {}),
  });
  return {
    ...{ backend, adapter: backend.choices.adapter, kept: keptChoices(), read: readChoices, write: writeChoices },
    [Symbol.dispose]: () => backend.dispose(),
  };
}
