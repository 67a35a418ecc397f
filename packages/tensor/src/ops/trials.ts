import { caseOf, type OpCase } from "./cases.ts";
import { copyInto } from "./copy.ts";
import { ANY } from "./inputs.ts";
import { interpolateBilinear } from "./interpolate.ts";
import { concat, pad2d, split, upsampleNearest } from "./join.ts";
import { tryAlso } from "./registry.ts";
import { bitsTensor, uniform } from "./uniform.ts";

/** Functions that are made of ops: what they are called with, and the call. */
const CASES: readonly (readonly [op: string, shapes: string, run: OpCase["run"]])[] = [
  ["concat", "2x3 2x0 2x5", (...tensors) => [concat(tensors, 1)]],
  ["concat", "3x4 17x4", (...tensors) => [concat(tensors)]],
  ["interpolateBilinear", "2x3x5x4", (x) => [interpolateBilinear(x, [7, 9])]],
  ["interpolateBilinear", "1x2x8x6", (x) => [interpolateBilinear(x, [3, 6])]],
  ["pad2d", "2x3x4x5", (x) => [pad2d(x, [1, 0, 2, 3], 0.5)]],
  ["split", "3x7", (x) => split(x, [2, 0, 4, 1], 1)],
  ["split", "5x4", (x) => split(x, [2, 3]).slice(1)],
  ["upsampleNearest", "2x3x4x5", (x) => [upsampleNearest(x)]],
];
for (const [op, shapes, run] of CASES) tryAlso(op, { cases: [caseOf(shapes, run)] });

tryAlso("copyInto", {
  cases: ANY.map((dtype) => ({
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
