import type { Backend } from "../backend.ts";
import type { Dtype, TypedArray } from "../dtype.ts";
import { ArgumentError, BackendError, DtypeError, ShapeError } from "../errors.ts";
import { axisIndex, param } from "../kernel/expr.ts";
import { mapProgram } from "../kernel/program.ts";
import {
  anyNumber,
  dtypeOption,
  list,
  type OptionRule,
  options,
  real,
  sizeOption,
  sizesFrom,
  thing,
} from "../options.ts";
import { currentBackend, noGrad, withBackend } from "../runtime.ts";
import { scope } from "../scope.ts";
import { rowMajor, type Shape, shapeText, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { copyAll, filled } from "./copy.ts";
import { defineCall } from "./defineCall.ts";
import { openTargets } from "./inPlace.ts";
import { ANY, checkNumber, checkTensor, holds, type InputRule, inputRules, type Takes } from "./inputs.ts";
import { tellLayout } from "./recorder.ts";
import { empty, launchInto } from "./result.ts";
import { contiguous } from "./view.ts";

/** Where and of what kind a new tensor is. */
export interface CreateOptions {
  readonly dtype?: Dtype;
  /** Default: the one chosen by `setBackend`. */
  readonly backend?: Backend;
}

const CREATE_OPTIONS = options<CreateOptions>({ dtype: dtypeOption, backend: thing });

/** What tensors are made of: typed arrays with numbers of up to 64 bits, or numbers one after the other. */
type Values = TypedArray | readonly number[];

const VALUES: OptionRule = {
  takes: "a list of numbers",
  fits: (value) => Array.isArray(value) || ArrayBuffer.isView(value),
  examples: [[1], 5, "12", [[1, 2]], [undefined]],
};

/**
 * A tensor of `shape` from values in row-major order (default shape: [length]). Values that the element type does not hold
 * are refused, not converted. @throws ShapeError, DtypeError, ArgumentError
 */
export const tensor = defineCall(
  "tensor",
  { values: VALUES, "shape?": sizesFrom(0), "options?": CREATE_OPTIONS },
  (values: Values, shape: Shape = [values.length], options: CreateOptions = {}): Tensor => {
    const dtype = options.dtype ?? (values instanceof Int32Array ? "i32" : "f32");
    const elements = elementsOf("tensor", values, dtype);
    if (values.length !== sizeOf(shape))
      throw new ShapeError(`tensor: ${values.length} values do not fill ${shapeText(shape)}`);
    const result = empty(options.backend ?? currentBackend(), shape, dtype);
    write(result, elements);
    return result;
  },
);

const WRITE_TENSOR: Takes = { target: ANY, values: VALUES };

/** Overwrites a contiguous tensor's elements. @throws ShapeError, DtypeError, ArgumentError, OwnershipError, GradientError */
export const writeTensor = defineCall("writeTensor", WRITE_TENSOR, (target: Tensor, values: Values): void => {
  const elements = elementsOf("writeTensor", values, target.dtype);
  if (values.length !== target.size || !target.isContiguous)
    throw new ShapeError(
      `writeTensor: ${values.length} values for a ${target.isContiguous ? "" : "strided "}tensor ${shapeText(target.shape)}`,
    );
  openTargets("writeTensor", target);
  write(target, elements);
});

const write = (target: Tensor, values: TypedArray): void =>
  target.backend.write({ buffer: target.storage.buffer, offset: target.offset, length: target.size }, values);

/** Values as they go to the device. @throws ArgumentError, DtypeError */
function elementsOf(op: string, values: Values, dtype: Dtype): TypedArray {
  if (values instanceof Int32Array && dtype !== "bool") return values;
  if ((values instanceof Float32Array || values instanceof Float64Array) && dtype === "f32") return values;
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

const [EACH] = inputRules({ tensor: ANY }) as [InputRule];

/** The elements of all `tensors`, each in row-major order, with one synchronisation. */
export const readTensors = defineCall(
  "readTensors",
  { tensors: list(thing) },
  (tensors: readonly Tensor[]): Promise<TypedArray[]> => {
    // The copies are queued when `read` returns, so what was made for them can go.
    for (const [i, t] of tensors.entries()) {
      checkTensor("readTensors", t, { ...EACH, name: `tensor ${i + 1}` });
      if (t.backend !== tensors[0]!.backend)
        throw new BackendError("readTensors: the tensors live on two backends; read those of each by themselves");
    }
    return scope("read", () => {
      const sources = gathered(tensors);
      const backend = sources[0]?.backend;
      const slices = sources.map((t) => ({ buffer: t.storage.buffer, offset: t.offset, length: t.size }));
      return { reading: backend ? backend.read(slices) : Promise.resolve([]) };
    }).reading;
  },
);

/** The same elements, each tensor's without gaps: those that have gaps are copied side by side. */
function gathered(tensors: readonly Tensor[]): readonly Tensor[] {
  const places = new Map<Tensor, Tensor>();
  for (const dtype of ANY) {
    const scattered = tensors.filter((t) => t.dtype === dtype && !t.isContiguous);
    if (scattered.length === 0) continue;
    const { backend } = scattered[0]!;
    const length = scattered.reduce((sum, { size }) => sum + size, 0);
    if (4 * length > backend.limits.maxBufferBytes) return noGrad(() => tensors.map((t) => contiguous(t)));
    const whole = empty(backend, [length], dtype);
    let offset = 0;
    for (const t of scattered) {
      places.set(t, whole.alias({ layout: rowMajor(t.shape, offset) }));
      offset += t.size;
    }
    copyAll(scattered.map((t) => [places.get(t)!, t]));
  }
  return tensors.map((t) => places.get(t) ?? t);
}

/**
 * The elements of the tensors that `body` gives, which runs in a scope of its own on `backend`: all that it makes is freed
 * before this returns, and only arrays are waited for.
 */
export async function readResults(backend: Backend, body: () => readonly Tensor[]): Promise<TypedArray[]> {
  return withBackend(backend, () => scope("results", () => ({ reading: readTensors(body()) }))).reading;
}

/** The elements of `x` in row-major order. */
export const data = async (...args: [x: Tensor]): Promise<TypedArray> => (await read(...args))[0]!;
const read = defineCall("data", { x: ANY }, (x: Tensor) => readTensors([x]));

/** The value of a one-element tensor. @throws ShapeError */
export const item = async (...args: [x: Tensor]): Promise<number> => (await readItem(...args))[0]!;
const readItem = defineCall("item", { x: ANY }, (x: Tensor): Promise<TypedArray> => {
  if (x.size !== 1)
    throw new ShapeError(`item: the tensor has shape ${shapeText(x.shape)}; only one element can be read this way`);
  return data(x);
});

const FULL: Takes = { shape: sizesFrom(0), value: anyNumber, "options?": CREATE_OPTIONS };

/** A tensor of one value. @throws ShapeError, DtypeError, ArgumentError */
export const full = defineCall(
  "full",
  FULL,
  (shape: Shape, value: number, options: CreateOptions = {}): Tensor =>
    filled(options.backend ?? currentBackend(), shape, { value, dtype: options.dtype ?? "f32" }),
);
const constant = (name: string, value: number) =>
  defineCall(
    name,
    { shape: sizesFrom(0), "options?": CREATE_OPTIONS },
    (shape: Shape, options: CreateOptions = {}): Tensor => full(shape, value, options),
  );
/** A tensor of zeros. */
export const zeros = constant("zeros", 0);
/** A tensor of ones. */
export const ones = constant("ones", 1);

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

const ARANGE: Takes = {
  length: sizeOption,
  "options?": options<ArangeOptions>({ start: real, step: real, backend: thing }),
};

/** start, start + step, … as i32 [length]. @throws ShapeError, DtypeError, ArgumentError */
export const arange = defineCall("arange", ARANGE, (length: number, options: ArangeOptions = {}): Tensor => {
  const { start = 0, step = 1, backend = currentBackend() } = options;
  for (const [name, value] of Object.entries({ start, step })) checkNumber("arange", value, { name, dtype: "i32" });
  const [output] = launchInto(arangeProgram, { backend, kept: [length], numbers: [start, step] }) as [Tensor];
  tellLayout("arange", { start, step }, { inputs: [], outputs: [output] });
  return output;
});
