import { toInt } from "./arithmetic.ts";
import { caseOf, type OpCase } from "./cases.ts";
import { copyInto } from "./copy.ts";
import { oneHot } from "./indexing.ts";
import { ANY_DTYPE } from "./inputs.ts";
import { interpolateBilinear } from "./interpolate.ts";
import { concat, pad2d, split, stack, upsampleNearest } from "./join.ts";
import { linear } from "./matmul.ts";
import { tryAlso } from "./registry.ts";
import { gridSample } from "./sample.ts";
import { bitsTensor, uniform } from "./uniform.ts";
import { contiguous, expand, flatten, permute, reshape, slice, squeeze, transpose, unsqueeze } from "./view.ts";

/** Functions that are made of ops: what they are called with, and the call. */
const CASES: readonly (readonly [op: string, shapes: string, run: OpCase["run"]])[] = [
  ["concat", "2x3 2x0 2x5", (...tensors) => [concat(tensors, 1)]],
  ["concat", "3x4 17x4", (...tensors) => [concat(tensors)]],
  ["contiguous", "2x3x4", (x) => [contiguous(x)]],
  ["expand", "3x1", (x) => [expand(x, [2, 3, 4])]],
  ["flatten", "2x3x4", (x) => [flatten(x, 1)]],
  ["gridSample", "1x2x4x5 1x3x2x2", (x, grid) => [gridSample(x, grid)]],
  ["interpolateBilinear", "2x3x5x4", (x) => [interpolateBilinear(x, [7, 9])]],
  ["interpolateBilinear", "1x2x8x6", (x) => [interpolateBilinear(x, [3, 6])]],
  ["linear", "2x3x4 5x4 5", (x, weight, bias) => [linear(x, weight, bias)]],
  ["oneHot", "17", (x) => [oneHot(toInt(x.mul(20)), 10)]],
  ["pad2d", "2x3x4x5", (x) => [pad2d(x, [1, 0, 2, 3], 0.5)]],
  ["permute", "2x3x4", (x) => [permute(x, [2, 0, -2])]],
  ["reshape", "2x3x4", (x) => [reshape(x, [4, -1])]],
  ["slice", "4x7", (x) => [slice(x, [null, { start: 1, end: -1, step: 2 }])]],
  ["split", "3x7", (x) => split(x, [2, 0, 4, 1], 1)],
  ["split", "5x4", (x) => split(x, [2, 3]).slice(1)],
  ["squeeze", "2x1x3", (x) => [squeeze(x, 1)]],
  ["stack", "2x3 2x3", (...tensors) => [stack(tensors, -1)]],
  ["transpose", "2x3x4", (x) => [transpose(x, 0, -1)]],
  ["unsqueeze", "2x3", (x) => [unsqueeze(x, -1)]],
  ["upsampleNearest", "2x3x4x5", (x) => [upsampleNearest(x)]],
];
for (const [op, shapes, run] of CASES) tryAlso(op, { cases: [caseOf(shapes, run)] });

tryAlso("copyInto", {
  cases: ANY_DTYPE.map((dtype) => ({
    ...caseOf("", (target, row) => {
      copyInto(target, row);
      return [target];
    }),
    name: `${dtype}, a row into each`,
    inputs: [[3, 5], [5]].map((shape) => ({ shape, dtype })),
    differentiable: false,
  })),
});
for (const [name, draw] of Object.entries({ uniform, bitsTensor }))
  tryAlso(name, {
    // The input only says which backend to use.
    cases: [0, 5, 65, 1000].map((n) => ({
      ...caseOf("1", ({ backend }) => [draw([n], [n * 77777, -3], backend)]),
      name: `${n} numbers`,
      differentiable: false,
    })),
  });
