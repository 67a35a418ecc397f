import type { Backend, Binding } from "../backend.ts";
import type { Dtype } from "../dtype.ts";
import { contiguousStrides, type Shape, sizeOf } from "../shape.ts";
import { Storage } from "../storage.ts";
import { Tensor } from "../tensor.ts";

/** A new tensor with unspecified contents, row-major. */
export function empty(backend: Backend, shape: Shape, dtype: Dtype): Tensor {
  const storage = new Storage(backend, sizeOf(shape), dtype);
  return new Tensor(storage, dtype, { layout: { shape, strides: contiguousStrides(shape), offset: 0 } });
}

/** How a launch reaches a tensor whose strides along the kernel's axes are `strides`. */
export function bind(tensor: Tensor, strides: readonly number[] = tensor.strides): Binding {
  const { buffer } = tensor.storage;
  return { buffer, offset: tensor.offset, strides, length: buffer.length - tensor.offset };
}
