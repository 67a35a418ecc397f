import type { Backend, Binding, Slice } from "../backend.ts";
import type { Dtype } from "../dtype.ts";
import { ShapeError } from "../errors.ts";
import { launch, MOST_PREPARED, type Prepared, prepareLaid } from "../kernel/launch.ts";
import type { Program } from "../kernel/program.ts";
import { NumbersMemo } from "../memo.ts";
import { broadcastStrides, rowMajor, type Shape, shapeText, sizeOf } from "../shape.ts";
import { Storage } from "../storage.ts";
import { type Layout, type SliceRange, Tensor } from "../tensor.ts";

/** A new tensor with unspecified contents, row-major. */
export function empty(backend: Backend, shape: Shape, dtype: Dtype): Tensor {
  const storage = new Storage(backend, sizeOf(shape), dtype);
  return new Tensor(storage, dtype, { layout: rowMajor(shape, 0) });
}

/** A tensor's elements and what lies behind them in its buffer. */
function elementsOf({ storage: { buffer }, offset }: Tensor): Slice {
  return { buffer, offset, length: buffer.length - offset };
}

/** How a launch reaches a tensor whose strides along the kernel's axes are `strides`. */
export function bind(tensor: Tensor, strides: readonly number[] = tensor.strides): Binding {
  return { ...elementsOf(tensor), strides };
}

/** Where a slice lies inside a tensor laid out like `x`. */
export function sliceLayout(x: Layout, ranges: readonly (SliceRange | null)[]): Layout {
  let offset = x.offset;
  const strides = [...x.strides];
  const shape = x.shape.map((size, axis) => {
    const { start = 0, end = size, step = 1 } = ranges[axis] ?? {};
    const first = start < 0 ? start + size : start;
    const last = end < 0 ? end + size : end;
    if (first < 0 || last > size || first > last)
      throw new ShapeError(`slice: ${start}…${end} step ${step} does not lie in axis ${axis} of ${shapeText(x.shape)}`);
    offset += first * x.strides[axis]!;
    strides[axis] = x.strides[axis]! * step;
    return Math.ceil((last - first) / step);
  });
  return { shape, strides, offset };
}

/** Runs a program over the axes `kept` and then `folded`, with these operands and then its outputs: new tensors of shape `kept`. */
export function launchInto(program: Program, { backend, kept, folded = [], operands = [], numbers }: Placed): Tensor[] {
  const outputs = program.operands.flatMap(({ mode, dtype }) =>
    mode === "write" ? [empty(backend, kept, dtype)] : [],
  );
  const written = outputs.map((output) => bind(output, [...output.strides, ...folded.map(() => 0)]));
  launch(backend, program, { mapSizes: kept, reduceSizes: folded, operands: [...operands, ...written] }, numbers);
  return outputs;
}

interface Placed {
  readonly backend: Backend;
  readonly kept: Shape;
  readonly folded?: Shape;
  readonly operands?: readonly Binding[];
  readonly numbers?: readonly number[];
}

/** What a program runs over: a shape, to which its operands broadcast, and those of its axes that are reduced. */
export interface Extent {
  readonly shape: Shape;
  readonly reduced?: readonly number[];
}

/** Runs a program over an extent, reduced axes last. Its operands are the tensors in order, the results among them. */
export function launchOver(
  program: Program,
  { shape, reduced = [] }: Extent,
  { tensors, numbers = [] }: { tensors: readonly Tensor[]; numbers?: readonly number[] },
): void {
  const key: (number | readonly number[])[] = [program.number, shape, reduced];
  for (const tensor of tensors) key.push(tensor.shape, tensor.strides);
  const run = prepared.get(key, () =>
    prepareLaid({
      ...{ program, shape, reduced },
      strides: tensors.map((tensor) => broadcastStrides(tensor.shape, tensor.strides, shape)),
    }),
  );
  run(tensors[0]!.backend, tensors.map(elementsOf), numbers);
}

const prepared = new NumbersMemo<Prepared>(MOST_PREPARED);
