import { type Backend, referenceBackend, Scope, setBackend, type Tensor, tensor } from "@dfine/tensor";
import { resolveBackend } from "../packages/dfine/src/device.ts";
import type { FloatValues, JsonTensor } from "./pack.ts";

export const BACKEND_NAMES = ["cpu", "webgpu", "reference"] as const;
export type BackendName = (typeof BACKEND_NAMES)[number];

/** A backend that checks run on, and how it is called in the table. */
export interface Target {
  readonly label: string;
  readonly backend: Backend;
  /** Allowance of the unit checks, absolute plus relative. */
  readonly unitAllowance: number;
}

/** The backend under test, in float32. */
export async function float32Target(name: BackendName, threads: number | undefined): Promise<Target> {
  const backend =
    name === "reference"
      ? referenceBackend({ floatBits: 32 })
      : await resolveBackend(name, threads === undefined ? {} : { threads });
  return { label: `${name} f32`, backend, unitAllowance: 1e-5 };
}

/** The reference backend in float64, which shows what the formulas give. */
export const float64Target = (): Target => ({
  label: "reference f64",
  backend: referenceBackend({ floatBits: 64 }),
  unitAllowance: 1e-7,
});

/** Runs `body` with the target for new tensors; those made in stretches of `flow` are freed in the end. */
export async function onTarget<T>({ backend }: Target, body: (flow: Scope) => T | Promise<T>): Promise<T> {
  setBackend(backend);
  using flow = new Scope("parity", { backend });
  return await body(flow);
}

/** A tensor with the numbers of a JSON file or of a safetensors file. */
export const toTensor = (source: JsonTensor | FloatValues): Tensor =>
  "data" in source
    ? tensor(Float64Array.from(source.data), source.shape)
    : tensor(Float64Array.from(source.values), source.shape);
