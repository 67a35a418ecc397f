import { concat, stack, type Tensor } from "@dfine/tensor";

/** From this many values of a set on they are summed in two steps. */
const LONG = 2 ** 15;

/**
 * Sums values [S, B, …] over everything but the set → [S]. Many in two steps, so that no single sum is long enough to be cut
 * into parts by its size, which would build another kernel when the number of queries changes.
 */
export function sumPerSet(values: Tensor): Tensor {
  const axes = values.shape.slice(1).map((_, i) => i + 1);
  if (values.size < LONG * values.shape[0]!) return values.sum(axes);
  return values.sum(axes.slice(1)).sum(1);
}

/** Entries `indices` of x [S, …] along the first axis; x [1, …] stands for all sets and is kept. */
export function takeSets(x: Tensor, indices: readonly number[]): Tensor {
  if (x.shape[0] === 1) return x;
  const first = indices[0]!;
  if (indices.every((index, i) => index === first + i)) return x.slice([{ start: first, end: first + indices.length }]);
  return concat(indices.map((index) => x.slice([{ start: index, end: index + 1 }])));
}

/** Joins one tensor per set, [B, …], to [S, B, …], or to [1, B, …] where all sets share the same one. */
export function stackShared(parts: readonly Tensor[]): Tensor {
  const first = parts[0]!;
  return parts.every((part) => part === first) ? first.unsqueeze(0) : stack(parts);
}
