import {
  type Backend,
  type Dtype,
  noGrad,
  readResults,
  referenceBackend,
  setTrace,
  type Tensor,
  type TypedArray,
  tensor,
} from "@dfine/tensor";
import { guardedBackend } from "@dfine/tensor/testing";
import { makeBackend, type WebGpuBackend } from "../src/backend.ts";
import { openDevice } from "../src/device/openDevice.ts";

export interface Input {
  readonly values: TypedArray | readonly number[];
  readonly shape: readonly number[];
  readonly dtype?: Dtype;
}

export const f32 = (values: ArrayLike<number>, shape: readonly number[]): Input => ({
  values: Float32Array.from(values),
  shape,
});
export const i32 = (values: ArrayLike<number>, shape: readonly number[]): Input => ({
  values: Int32Array.from(values),
  shape,
});

export type Run = (inputs: readonly Tensor[]) => readonly Tensor[];

/** The meaning of every op, in float32. */
export const reference = referenceBackend({ floatBits: 32 });
/** The same in float64. */
export const exact = referenceBackend({ floatBits: 64 });

/** This machine's device with the kernels that software gets, and with those that GPUs get; what both have it compiles once. */
export async function bothKinds(): Promise<readonly (readonly ["for software" | "for GPUs", WebGpuBackend])[]> {
  const open = await openDevice();
  return [
    ["for software", makeBackend({ ...open, software: true }, {}).backend],
    ["for GPUs", makeBackend({ ...open, software: false }, {}).backend],
  ];
}

/** Results of `run` on a backend; on the device between guard words, which must outlive it. */
export async function evaluate(backend: Backend, inputs: readonly Input[], run: Run): Promise<TypedArray[]> {
  const guarded = backend.name === "webgpu" ? guardedBackend(backend) : undefined;
  const on = guarded ?? backend;
  const results = await readResults(on, () => {
    const leaves = inputs.map(({ values, shape, dtype }) =>
      tensor(values, shape, dtype === undefined ? {} : { dtype }),
    );
    return noGrad(() => run(leaves));
  });
  await guarded?.verify();
  return results;
}

/** Names of the hand-written kernels that `run` chooses. */
export async function variants(backend: Backend, inputs: readonly Input[], run: Run): Promise<string[]> {
  const names: string[] = [];
  setTrace(({ op, kernel }) => {
    if (typeof kernel === "string") names.push(`${op}: ${kernel}`);
  });
  try {
    await evaluate(backend, inputs, run);
  } finally {
    setTrace(undefined);
  }
  return names;
}
