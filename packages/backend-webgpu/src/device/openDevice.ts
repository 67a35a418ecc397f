import { BackendError } from "@dfine/tensor";
import { findAdapter, presentAdapter } from "./adapter.ts";

/** A device and what kernels and schedules may count on. */
export interface OpenDevice {
  readonly device: GPUDevice;
  /** The adapter's name for people. */
  readonly adapterName: string;
  /** The adapter computes on the CPU: barriers are slow, workgroups cheap. */
  readonly software: boolean;
  readonly features: ReadonlySet<string>;
}

/** Asked for where the adapter has them; kernels look at `features` before they count on one. */
const FEATURES = ["shader-f16", "subgroups", "timestamp-query"] as const;

/** Limits of which the most that the adapter offers is asked for; without asking, a device has WebGPU's small defaults. */
const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupStorageSize",
  "maxComputeWorkgroupsPerDimension",
] as const;

const SOFTWARE = /swiftshader|llvmpipe|lavapipe|warp|basic render|softpipe/i;

/** What an adapter says of itself. */
function about({ info }: GPUAdapter): { adapterName: string; software: boolean } {
  const { vendor, architecture, device: model, description, isFallbackAdapter } = info;
  const adapterName = description || model || [vendor, architecture].filter(Boolean).join(" ") || "unnamed adapter";
  return { adapterName, software: isFallbackAdapter || SOFTWARE.test(`${adapterName} ${architecture}`) };
}

/** Opens a device with all that its adapter offers. @throws BackendError when there is no adapter, or it refuses */
export async function openDevice(): Promise<OpenDevice> {
  return await open(await findAdapter());
}

/** The same on hardware; undefined where there is no adapter. @throws BackendError where it computes in software, or refuses */
export async function openHardware(): Promise<OpenDevice | undefined> {
  const adapter = await presentAdapter();
  if (!adapter) return undefined;
  const { adapterName, software } = about(adapter);
  if (software) throw new BackendError(`webgpu: the only adapter here, ${adapterName}, computes in software`);
  return await open(adapter);
}

async function open(adapter: GPUAdapter): Promise<OpenDevice> {
  const { adapterName, software } = about(adapter);
  const features = FEATURES.filter((feature) => adapter.features.has(feature));
  const requiredLimits = Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]]));
  let device: GPUDevice;
  try {
    device = await adapter.requestDevice({ label: "dfine", requiredFeatures: features, requiredLimits });
  } catch (error) {
    throw new BackendError(`webgpu: ${adapterName} gave no device: ${String(error)}`);
  }
  return { device, adapterName, software, features: new Set<string>(features) };
}
