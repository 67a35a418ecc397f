import type { Backend } from "../backend.ts";
import type { Dtype, TypedArray } from "../dtype.ts";
import { ArgumentError, BackendError, DtypeError, ShapeError } from "../errors.ts";
import { axisIndex, param } from "../kernel/expr.ts";
import { mapProgram } from "../kernel/program.ts";
import { checkOptions, dtypeOption, type OptionRules, real, thing, whatIs } from "../options.ts";
import { currentBackend, noGrad, withBackend } from "../runtime.ts";
import { scope } from "../scope.ts";
import { checkShape, type Shape, shapeText, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { filled } from "./copy.ts";
import { checkTarget } from "./inPlace.ts";
import { ANY_DTYPE, checkNumber, checkTensor, holds, type InputRule, inputRules } from "./inputs.ts";
import { empty, launchOver } from "./result.ts";
import { contiguous } from "./view.ts";

/** Where and of what kind a new tensor is. */
export interface CreateOptions {
  readonly dtype?: Dtype;
  /** Default: the one chosen by `setBackend`. */
  readonly backend?: Backend;
}

const CREATE_OPTIONS: OptionRules<CreateOptions> = { dtype: dtypeOption, backend: thing };

/** What a tensor is made of: typed arrays with numbers of up to 64 bits, or numbers one after the other. */
type Values = TypedArray | readonly number[];

/**
 * A tensor of `shape` from values in row-major order (default shape: [length]). Values that the element type does not hold
 * are refused, not converted. @throws ShapeError, DtypeError, ArgumentError
 */
export function tensor(values: Values, shape?: Shape, options: CreateOptions = {}): Tensor {
  checkOptions("tensor", options, CREATE_OPTIONS);
  const dtype = options.dtype ?? (values instanceof Int32Array ? "i32" : "f32");
  const elements = elementsOf("tensor", values, dtype);
  const target = shape ?? [values.length];
  checkShape("tensor", target);
  if (values.length !== sizeOf(target))
    throw new ShapeError(`tensor: ${values.length} values do not fill ${shapeText(target)}`);
  const result = empty(options.backend ?? currentBackend(), target, dtype);
  write(result, elements);
  return result;
}

/** Overwrites a contiguous tensor's elements. @throws ShapeError, DtypeError, ArgumentError, OwnershipError, GradientError */
export function writeTensor(target: Tensor, values: Values): void {
  checkTensor("writeTensor", target, ANY);
  checkTarget("writeTensor", target);
  const elements = elementsOf("writeTensor", values, target.dtype);
  if (values.length !== target.size || !target.isContiguous)
    throw new ShapeError(
      `writeTensor: ${values.length} values for a ${target.isContiguous ? "" : "strided "}tensor ${shapeText(target.shape)}`,
    );
  write(target, elements);
}

const [ANY] = inputRules({ "the tensor": ANY_DTYPE }) as [InputRule];

const write = (target: Tensor, values: TypedArray): void =>
  target.backend.write({ buffer: target.storage.buffer, offset: target.offset, length: target.size }, values);

/** Values as they go to the device. @throws ArgumentError, DtypeError */
function elementsOf(op: string, values: Values, dtype: Dtype): TypedArray {
  if (values instanceof Int32Array && dtype !== "bool") return values;
  if ((values instanceof Float32Array || values instanceof Float64Array) && dtype === "f32") return values;
  if (typeof (values as { length?: unknown } | undefined)?.length !== "number" || typeof values === "string")
    throw new ArgumentError(`${op}: the values are ${whatIs(values)}; they must be a list of numbers`);
  const elements = dtype === "f32" ? new Float64Array(values.length) : new Int32Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value: unknown = values[i];
    if (typeof value === "bigint")
      throw new DtypeError(
        `${op}: the values are 64-bit integers; Int32Array.from(values, Number) holds those of 32 bits`,
      );
    if (Array.isArray(value))
      throw new ArgumentError(
        `${op}: value ${i} is a list; give the numbers one after the other, and the shape after them`,
      );
    if (typeof value !== "number" || !holds(dtype, value)) checkNumber(op, value, { name: `value ${i}`, dtype });
    elements[i] = value as number;
  }
  return elements;
}

/** The elements of all `tensors`, each in row-major order, with one synchronisation. */
export function readTensors(tensors: readonly Tensor[]): Promise<TypedArray[]> {
  // The copies are queued when `read` returns, so what was made for them can go.
  for (const [i, t] of tensors.entries()) {
    checkTensor("readTensors", t, { ...ANY, name: `tensor ${i + 1}` });
    if (t.backend !== tensors[0]!.backend)
      throw new BackendError("readTensors: the tensors live on two backends; read those of each by themselves");
  }
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

/** A tensor of one value. @throws ShapeError, DtypeError, ArgumentError */
export function full(shape: Shape, value: number, options: CreateOptions = {}): Tensor {
  checkOptions("full", options, CREATE_OPTIONS);
  checkShape("full", shape);
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

/** Where `arange` starts and how it goes on. */
export interface ArangeOptions {
  /** Default 0. */
  readonly start?: number;
  /** Default 1. */
  readonly step?: number;
  readonly backend?: Backend;
}
const ARANGE_OPTIONS: OptionRules<ArangeOptions> = { start: real, step: real, backend: thing };

/** start, start + step, … as i32 [length]. @throws ShapeError, DtypeError, ArgumentError */
export function arange(length: number, options: ArangeOptions = {}): Tensor {
  checkOptions("arange", options, ARANGE_OPTIONS);
  checkShape("arange", [length]);
  const { start = 0, step = 1, backend = currentBackend() } = options;
  for (const [name, value] of Object.entries({ start, step })) checkNumber("arange", value, { name, dtype: "i32" });
  const result = empty(backend, [length], "i32");
  launchOver(arangeProgram, result, { tensors: [result], numbers: [start, step] });
  return result;
}
