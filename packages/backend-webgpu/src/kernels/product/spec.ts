import type { BufferView } from "../wgslKernel.ts";

/** A is m × k, B is k × n. */
export type Side = "a" | "b";

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
 * - `fn a_address(span: ASpan, step: i32) -> i32` in place of `a_value`, and so for B, where the side is `addressed`
 * - `fn c_place(batch: Batch, n: i32) -> i32`: the place of C[0, n] from the first element; rows are `u.c_row` apart
 * - `fn channel_of(batch: Batch, m: i32) -> i32`: the output channel that a row is, where there may be an epilogue
 *
 * They find the uniforms of `runProduct` and those of the call. Indices given to them are in range, and addresses must be so too, also where a zero of the padding takes the value's place.
 */
export interface ProductSpec<B extends string = string> {
  /** What traces call it. */
  readonly name: string;
  /** A and B; the result is bound as `c`. */
  readonly factors: readonly [B, B];
  /** `first` is, for each factor, the text of its first element's index. */
  readonly code: (first: Readonly<Record<B, string>>) => string;
  /** Sides whose elements all lie in the factor: none is a zero of a padding. Only these can be loaded in fours. */
  readonly addressed: readonly Side[];
  /** The flat k of a tiled kernel counts this index up first; addresses of neighbours in k should be near. */
  readonly fastest: "outer" | "inner";
}

/** How a factor lies in memory. */
export interface Lie {
  /** Whether neighbours in memory are neighbours in k, and not rows of A or columns of B. */
  readonly alongK: boolean;
  /** Whether any four such neighbours, from every fourth on, start at a multiple of four of the factor's view, and none is missing. */
  readonly inFours: boolean;
}

/** What the text of a kernel says of memory: found when the kernel is chosen, not for each element. */
export interface Lies {
  readonly a: Lie;
  readonly b: Lie;
  /** Along which axis of C neighbours are stored four at a time. */
  readonly c: "rows" | "columns" | "singly";
}

const lieName = ({ alongK, inFours }: Lie, across: string): string => `${alongK ? "k" : across}${inFours ? "4" : ""}`;

/** "k4 n c4": A along k in fours, B along its columns one by one, C in fours along rows' columns. */
export const liesName = ({ a, b, c }: Lies): string =>
  `${lieName(a, "m")} ${lieName(b, "n")}${{ rows: " c4m", columns: " c4n", singly: "" }[c]}`;

/** Whether a view starts at a multiple of four elements, as what is bound as vec4f must. */
export const startsInFours = (view: BufferView): boolean => view.offset % 4 === 0;

/** Fours of a side are read as `array<vec4f>`; of what is not, each element. */
export const indexOf = (element: string, inFours: boolean): string => (inFours ? `(${element}) >> 2` : element);

/** The spec's code, and a factor's elements where the spec has their addresses. */
export function specCode<B extends string>(spec: ProductSpec<B>, { a, b }: Pick<Lies, Side>): string {
  const sides = [
    { side: "a", factor: spec.factors[0], inFours: a.inFours },
    { side: "b", factor: spec.factors[1], inFours: b.inFours },
  ] as const;
  const first = Object.fromEntries(
    sides.map(({ factor, inFours }) => [factor, inFours ? `4 * u.o_${factor}` : `u.o_${factor}`]),
  ) as Record<B, string>;
  const value = ({ side, factor, inFours }: (typeof sides)[number]): string =>
    `fn ${side}_value(span: ${side.toUpperCase()}Span, step: i32) -> ${inFours ? "vec4<f32>" : "f32"} { return ${factor}[${indexOf(`${side}_address(span, step)`, inFours)}]; }`;
  return [spec.code(first), ...sides.filter(({ side }) => spec.addressed.includes(side)).map(value)].join("\n");
}

/**
 * Lines at the start of each kernel: which tile (x along columns), part of k and batch entry it computes. Workgroups in
 * succession go down the rows, and so find the values of their columns in the cache.
 */
export const tileLines = (firstOfC: string): string => `
  let tile = (vec3<i32>(group) + vec3<i32>(u.first_x, u.first_y, u.first_z)).yxz;
  let z = tile.z / u.parts;
  let part = tile.z - z * u.parts;
  let batch = batch_of(z);
  let start = ${firstOfC} + part * u.c_part;`;
