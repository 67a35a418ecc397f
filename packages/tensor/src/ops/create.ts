import type { Backend } from "../backend.ts";
import type { Dtype, TypedArray } from "../dtype.ts";
import { ShapeError } from "../errors.ts";
import { axisIndex, param } from "../kernel/expr.ts";
import { launch } from "../kernel/launch.ts";
import { mapProgram } from "../kernel/program.ts";
import { currentBackend, noGrad, withBackend } from "../runtime.ts";
import { scope } from "../scope.ts";
import { type Shape, shapeText, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { filled } from "./copy.ts";
import { bind, empty } from "./result.ts";
import { contiguous } from "./view.ts";

/** Where and of what kind a new tensor is. */
export interface CreateOptions {
  readonly dtype?: Dtype;
  /** Default: the one chosen by `setBackend`. */
  readonly backend?: Backend;
}

/** A tensor of `shape` from values in row-major order (default shape: [length]). @throws ShapeError */
export function tensor(
  values: TypedArray | readonly number[],
  shape: Shape = [values.length],
  options: CreateOptions = {},
): Tensor {
  if (values.length !== sizeOf(shape))
    throw new ShapeError(`tensor: ${values.length} values do not fill ${shapeText(shape)}`);
  const dtype = options.dtype ?? (values instanceof Int32Array ? "i32" : "f32");
  const result = empty(options.backend ?? currentBackend(), shape, dtype);
  writeTensor(result, values);
  return result;
}

/** Overwrites a contiguous tensor's elements. @throws ShapeError */
export function writeTensor(target: Tensor, values: TypedArray | readonly number[]): void {
  if (values.length !== target.size || !target.isContiguous)
    throw new ShapeError(
      `writeTensor: ${values.length} values for a ${target.isContiguous ? "" : "strided "}tensor ${shapeText(target.shape)}`,
    );
  const data = ArrayBuffer.isView(values)
    ? values
    : target.dtype === "f32"
      ? Float64Array.from(values)
      : Int32Array.from(values);
  target.backend.write({ buffer: target.storage.buffer, offset: target.offset, length: target.size }, data);
}

/** The elements of all `tensors`, each in row-major order, with one synchronisation. */
export function readTensors(tensors: readonly Tensor[]): Promise<TypedArray[]> {
  // The copies are queued when `read` returns, so what was made for them can go.
  return scope("read", () => {
    const sources = noGrad(() => tensors.map(contiguous));
    const backend = sources[0]?.backend;
    const slices = sources.map((t) => ({ buffer: t.storage.buffer, offset: t.offset, length: t.size }));
    return { reading: backend ? backend.read(slices) : Promise.resolve([]) };
  }).reading;
}

/**
 * The elements of the tensors that `body` gives, which runs in a scope of its own on `backend`: all that it makes is freed
 * before this returns, and only arrays are waited for.
 */
export async function readResults(backend: Backend, body: () => readonly Tensor[]): Promise<TypedArray[]> {
  return withBackend(backend, () => scope("results", () => ({ reading: readTensors(body()) }))).reading;
}

/** The elements of `x` in row-major order. */
export async function data(x: Tensor): Promise<TypedArray> {
  return (await readTensors([x]))[0]!;
}

/** The value of a one-element tensor. @throws ShapeError */
export async function item(x: Tensor): Promise<number> {
  if (x.size !== 1)
    throw new ShapeError(`item: the tensor has shape ${shapeText(x.shape)}; only one element can be read this way`);
  return (await data(x))[0]!;
}

/** A tensor of one value. */
export function full(shape: Shape, value: number, options: CreateOptions = {}): Tensor {
  return filled(options.backend ?? currentBackend(), shape, { value, dtype: options.dtype ?? "f32" });
}
/** A tensor of zeros. */
export const zeros = (shape: Shape, options: CreateOptions = {}): Tensor => full(shape, 0, options);
/** A tensor of ones. */
export const ones = (shape: Shape, options: CreateOptions = {}): Tensor => full(shape, 1, options);

const arangeProgram = mapProgram("arange", {
  inputs: [],
  params: ["i32", "i32"],
  outputs: [axisIndex(0).mul(param(1, "i32")).add(param(0, "i32"))],
});

/** start, start + step, … as i32 [length]. */
export function arange(length: number, options: { start?: number; step?: number; backend?: Backend } = {}): Tensor {
  const { start = 0, step = 1, backend = currentBackend() } = options;
  const result = empty(backend, [length], "i32");
  launch(backend, arangeProgram, { mapSizes: [length], reduceSizes: [], operands: [bind(result)] }, [start, step]);
  return result;
}
