import type { UniformType } from "../wgslKernel.ts";

/**
 * A batch of sums C[m, n] = Σ A[m, k] · B[k, n], as WGSL that says where elements are. Matmul, convolution and both its
 * gradients are one loop and differ in this text alone. k is a pair: an outer index, such as a kernel tap or an image row,
 * and an inner one, along which addresses go on evenly.
 *
 * `code` defines, of any types `Batch`, `Outer`, `APlace`, `ASpan`, `BPlace`, `BSpan`:
 * - `fn batch_of(z: i32) -> Batch`
 * - `fn outer_of(outer: i32) -> Outer`
 * - `fn a_place(batch: Batch, m: i32) -> APlace`, `fn b_place(batch: Batch, n: i32) -> BPlace`: once per row or column
 * - `fn a_span(place: APlace, outer: Outer) -> ASpan`, `fn b_span(…) -> BSpan`: once per row or column and outer index
 * - `fn a_step(inner: i32) -> i32`, `fn b_step(…) -> i32`: once per inner index
 * - `fn a_value(span: ASpan, step: i32) -> f32`, `fn b_value(…) -> f32`
 * - `fn c_place(batch: Batch, n: i32) -> i32`: the place of C[0, n] from the first element; rows are `u.c_row` apart
 * - `fn channel_of(batch: Batch, m: i32) -> i32`: the output channel that a row is, where there may be an epilogue
 *
 * Indices given to them are in range, and addresses must be so too, also where a zero of the padding takes the value's place.
 */
export interface ProductSpec<B extends string = string, U extends string = string> {
  /** What traces call it. */
  readonly name: string;
  /** Factors; the result is bound as `c`. */
  readonly factors: readonly B[];
  readonly uniforms: Readonly<Record<U, UniformType>>;
  readonly code: string;
  /** The flat k of a tiled kernel counts this index up first; addresses of neighbours in k should be near. */
  readonly fastest: "outer" | "inner";
}

/** Checks a spec's names when it is written. */
export const productSpec = <const B extends string, const U extends string>(
  spec: ProductSpec<B, U>,
): ProductSpec<B, U> => spec;

/** Uniforms of every product, beside a spec's own. */
export const COMMON_UNIFORMS = {
  ...{ m: "i32", n: "i32", outer: "i32", inner: "i32", k: "i32", c_row: "i32" },
  /** k is cut into parts of `part_size` (outer indices of a direct kernel), whose results lie `c_part` apart. */
  ...{ parts: "i32", part_size: "i32", c_part: "i32" },
  /** Workgroups of a dispatch start here. */
  ...{ first_x: "i32", first_y: "i32", first_z: "i32" },
  /** Threads of a tiled kernel that load next to each other: along k (1), or along rows or columns (0). */
  ...{ a_along_k: "i32", b_along_k: "i32" },
} as const satisfies Record<string, UniformType>;

export type CommonUniform = keyof typeof COMMON_UNIFORMS;

/**
 * Lines at the start of each kernel: which tile (x along columns), part of k and batch entry it computes. Workgroups in
 * succession go down the rows, and so find the values of their columns in the cache.
 */
export const TILE_LINES = `
  let tile = (vec3<i32>(group) + vec3<i32>(u.first_x, u.first_y, u.first_z)).yxz;
  let z = tile.z / u.parts;
  let part = tile.z - z * u.parts;
  let batch = batch_of(z);
  let start = u.o_c + part * u.c_part;`;
