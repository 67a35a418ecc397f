import { type Tensor, tensor } from "@dfine/tensor";
import fc from "fast-check";

// What the tests of losses draw from, and oracles straight from the formulas of docs/specification.md §11, one number at a time.
export const ints = (values: readonly number[], shape: readonly number[]): Tensor =>
  tensor(Int32Array.from(values), shape);
export const floats = (values: readonly number[], shape: readonly number[]): Tensor =>
  tensor(Float64Array.from(values), shape);
export const array = <T>(length: number, of: fc.Arbitrary<T>) => fc.array(of, { minLength: length, maxLength: length });
export const number = (min: number, max: number) => fc.double({ min, max, noNaN: true });

export const add = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
export const crossEntropy = (x: number, q: number): number =>
  -q * Math.log(sigmoid(x)) - (1 - q) * Math.log(1 - sigmoid(x));
export const softmax = (row: readonly number[]): number[] => {
  const e = row.map(Math.exp);
  return e.map((value) => value / add(e));
};
