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
 * They find the uniforms of `runProduct` and those of the call. Indices given to them are in range, and addresses must be so too, also where a zero of the padding takes the value's place.
 */
export interface ProductSpec<B extends string = string> {
  /** What traces call it. */
  readonly name: string;
  /** Factors; the result is bound as `c`. */
  readonly factors: readonly B[];
  readonly code: string;
  /** The flat k of a tiled kernel counts this index up first; addresses of neighbours in k should be near. */
  readonly fastest: "outer" | "inner";
}

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
