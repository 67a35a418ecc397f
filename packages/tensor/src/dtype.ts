/** Element types. `bool` is stored as 32-bit 0 or 1, because WGSL has no 8-bit storage. */
export type Dtype = "f32" | "i32" | "bool";

/** What crosses between host and device. A float64 backend hands over `Float64Array` for `f32` tensors. */
export type TypedArray = Float32Array | Float64Array | Int32Array;

/** Bytes of one element on a 32-bit backend. */
export const BYTES_PER_ELEMENT = 4;
