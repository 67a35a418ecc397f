import { roundUp } from "./kernel/sizes.ts";
import { memo } from "./memo.ts";
import { copyInto, filled } from "./ops/copy.ts";
import { rowMajor, type Shape } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/** Packed tensors start at multiples of this many elements, 256 bytes, so that kernels keep their aligned reads. */
const ALIGNMENT = 64;
/** Bytes of one storage at most, unless a single tensor has more: packing a large model needs no second copy of it. */
const MOST_BYTES = 2 ** 26;

/** Handles whose elements lie alone between two multiples of `ALIGNMENT`, what is left of the last one being zeros. */
const packed = new WeakSet<Tensor>();

/** At least one step, so that no two tensors start at the same place. */
const paddedSize = ({ size }: Tensor): number => roundUp(Math.max(1, size), ALIGNMENT);

function groupBy<T, Key>(items: Iterable<T>, keyOf: (item: T) => Key): T[][] {
  const groups = new Map<Key, T[]>();
  for (const item of items) memo(groups, keyOf(item), () => []).push(item);
  return [...groups.values()];
}

/** Cuts tensors of one dtype into lists that fit into one storage each. */
function storageLoads(tensors: readonly Tensor[]): Tensor[][] {
  const most = Math.min(MOST_BYTES, tensors[0]!.backend.limits.maxBufferBytes) / 4;
  const loads: Tensor[][] = [];
  let length = Number.POSITIVE_INFINITY;
  for (const tensor of tensors) {
    length += paddedSize(tensor);
    if (length > most) {
      loads.push([]);
      length = paddedSize(tensor);
    }
    loads.at(-1)!.push(tensor);
  }
  return loads;
}

/** Zeros shaped like `tensors`, side by side in as few storages as there must be: a kernel for each, see `coalesce`. */
export function packedZerosLike(tensors: readonly Tensor[]): Tensor[] {
  const places = new Map<Tensor, Tensor>();
  for (const load of groupBy(new Set(tensors), ({ dtype }) => dtype).flatMap(storageLoads)) {
    const { backend, dtype } = load[0]!;
    const length = load.reduce((sum, tensor) => sum + paddedSize(tensor), 0);
    using storage = filled(backend, [length], { value: 0, dtype });
    let offset = 0;
    for (const tensor of load) {
      const place = view(storage, tensor.shape, offset);
      packed.add(place);
      places.set(tensor, place);
      offset += paddedSize(tensor);
    }
  }
  return tensors.map((tensor) => places.get(tensor)!);
}

/**
 * Places side by side where `backward` writes the gradients of `leaves`, where it can. `leaf.grad` lies elsewhere where it could
 * not; it is overwritten by the next pass after it was set to undefined.
 */
export function packedGradients(leaves: readonly Tensor[]): Tensor[] {
  const places = packedZerosLike(leaves);
  for (const [i, { edge }] of leaves.entries()) if (edge?.node.leaf) edge.node.place = places[i];
  return places;
}

/**
 * Moves the elements of `tensors` side by side. Each stays the tensor that it was; views made of it before keep the old
 * elements. For parameters, gradients and averages: what is done to all of them alike is then few kernels, see `coalesce`.
 */
export function pack(tensors: readonly Tensor[]): void {
  const all = [...new Set(tensors)];
  for (const [i, place] of packedZerosLike(all).entries()) {
    const tensor = all[i]!;
    copyInto(place, tensor);
    tensor.moveTo(place);
    place.dispose();
    packed.add(tensor);
  }
}

/** Copies of `tensors` that lie beside each other where these do. */
export function packedCopies(tensors: readonly Tensor[]): Tensor[] {
  const copies = new Map<Tensor, Tensor>();
  for (const neighbours of groupBy(new Set(tensors), ({ storage }) => storage)) {
    neighbours.sort((a, b) => a.offset - b.offset);
    for (const [i, copy] of packedZerosLike(neighbours).entries()) {
      copyInto(copy, neighbours[i]!);
      copies.set(neighbours[i]!, copy);
    }
  }
  return tensors.map((tensor) => copies.get(tensor)!);
}

/**
 * Joins rows of tensors, alike within a row, for elementwise work: rows of which every column was packed beside the same
 * column of the row before become one row of flat views [N]. N counts the padding between and after them too, zeros to which
 * the work must do no harm. Other rows stay as they are.
 */
export function coalesce(rows: readonly (readonly Tensor[])[]): (readonly Tensor[])[] {
  const byStorage = groupBy(rows, (row) => row[0]!.storage);
  return byStorage.flatMap((neighbours) => {
    neighbours.sort((a, b) => a[0]!.offset - b[0]!.offset);
    const runs: (readonly Tensor[])[][] = [];
    for (let i = 0; i < neighbours.length; i++) {
      if (i > 0 && follows(neighbours[i - 1]!, neighbours[i]!)) runs.at(-1)!.push(neighbours[i]!);
      else runs.push([neighbours[i]!]);
    }
    return runs.map((run) => (run.length === 1 ? run[0]! : joined(run[0]!, run.at(-1)!)));
  });
}

const follows = (before: readonly Tensor[], after: readonly Tensor[]): boolean =>
  before.every((tensor, column) => {
    const next = after[column]!;
    return (
      packed.has(tensor) &&
      packed.has(next) &&
      next.storage === tensor.storage &&
      next.offset === tensor.offset + paddedSize(tensor)
    );
  });

const joined = (first: readonly Tensor[], last: readonly Tensor[]): Tensor[] =>
  first.map((tensor, column) => {
    const end = last[column]!.offset + paddedSize(last[column]!);
    return view(tensor, [end - tensor.offset], tensor.offset);
  });

const view = (x: Tensor, shape: Shape, offset: number): Tensor => x.alias({ layout: rowMajor(shape, offset) });
