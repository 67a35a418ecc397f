import { concat, stack, type Tensor } from "@dfine/tensor";

/**
 * Sums values [S, B, …] over everything but the set → [S]. In two steps, so that no single sum is long enough to be cut
 * into parts by its size, which would build another kernel when the number of queries changes.
 */
export function sumPerSet(values: Tensor): Tensor {
  const perImage = values.sum(Array.from({ length: values.rank - 2 }, (_, i) => i + 2));
  return perImage.sum(1);
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
