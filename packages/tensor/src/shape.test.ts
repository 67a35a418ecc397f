import { expect, it } from "vitest";
import { isContiguous } from "./shape.ts";

it.each<[boolean, string, readonly number[], readonly number[]]>([
  [true, "row-major", [2, 3], [3, 1]],
  [true, "an axis of size 1 with any stride", [2, 1, 3], [3, 77, 1]],
  [true, "a scalar", [], []],
  [true, "no elements, whatever the slower strides", [2, 0, 3], [5, 5, 1]],
  [false, "transposed", [2, 3], [1, 2]],
  [false, "rows with a gap", [2, 3], [4, 1]],
  [false, "broadcast", [2, 3], [0, 1]],
])("contiguous is %s: %s", (expected, _, shape, strides) => {
  expect(isContiguous(shape, strides)).toBe(expected);
});
