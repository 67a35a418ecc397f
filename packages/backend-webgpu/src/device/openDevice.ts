import { BackendError } from "@dfine/tensor";
import { findAdapter, presentAdapter } from "./adapter.ts";
import { kindOf } from "./adapterKind.ts";
import type { AdapterKind } from "./workLimits.ts";

/** A device and what kernels and schedules may count on. */
export interface OpenDevice {
  readonly device: GPUDevice;
  /** The adapter's name for people. */
  readonly adapterName: string;
  /** The adapter computes on the CPU: barriers are slow, workgroups cheap. */
  readonly software: boolean;
  readonly features: ReadonlySet<string>;
  readonly kind: AdapterKind;
  /** All that the adapter says of itself, its driver where it tells that: equal ones are equally fast. */
  readonly identity: string;
  /** Threads of its smallest subgroups; 1 where it does not tell. */
  readonly subgroupSize: number;
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

/** What an adapter says of itself. */
function about({ info }: GPUAdapter): Omit<OpenDevice, "device" | "features"> {
  const { vendor, architecture, device: model, description, isFallbackAdapter, subgroupMinSize = 1 } = info;
  const adapterName = description || model || [vendor, architecture].filter(Boolean).join(" ") || "unnamed adapter";
  const identity = [vendor, architecture, model, description].filter(Boolean).join(", ") || adapterName;
  const kind = isFallbackAdapter ? "software" : kindOf(identity);
  return { adapterName, identity, kind, software: kind === "software", subgroupSize: subgroupMinSize };
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
  const said = about(adapter);
  const features = FEATURES.filter((feature) => adapter.features.has(feature));
  const requiredLimits = Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]]));
  let device: GPUDevice;
  try {
    device = await adapter.requestDevice({ label: "dfine", requiredFeatures: features, requiredLimits });
  } catch (error) {
    throw new BackendError(`webgpu: ${said.adapterName} gave no device: ${String(error)}`);
  }
  return { device, ...said, features: new Set<string>(features) };
}
