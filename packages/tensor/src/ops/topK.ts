import { ShapeError } from "../errors.ts";
import { axisIndex, constant, type Expr, load } from "../kernel/expr.ts";
import { foldProgram } from "../kernel/program.ts";
import { whole } from "../options.ts";
import type { Tensor } from "../tensor.ts";
import { casesOf } from "./cases.ts";
import { defineCall } from "./defineCall.ts";
import { defineOp } from "./defineOp.ts";
import { scatterRows } from "./indexing.ts";
import type { Takes } from "./inputs.ts";
import { bind, launchInto } from "./result.ts";

const isAbove = (a: Expr, b: Expr): Expr => a.gt(b).or(a.isNaN().and(b.isNaN().not()));
const isLevel = (a: Expr, b: Expr): Expr => a.eq(b).or(a.isNaN().and(b.isNaN()));

// Axes: row, element; other element. An element's rank is how many others come before it.
const comesBefore = isAbove(load(1), load(0)).or(isLevel(load(1), load(0)).and(axisIndex(2).lt(axisIndex(1))));
const rankProgram = foldProgram("topKRank", {
  inputs: ["f32", "f32"],
  folds: [["sum", comesBefore.select(constant(1, "i32"), 0)]],
});

// Axes: row, rank; element. Exactly one element has the rank, so a sum picks it.
const hasRank = load(1, "i32").eq(axisIndex(1));
const pickProgram = foldProgram("topKPick", {
  inputs: ["f32", "i32"],
  folds: [
    ["sum", hasRank.select(load(0), 0)],
    ["sum", hasRank.select(axisIndex(2), 0)],
  ],
});

const topKOp = defineOp("topK", {
  takes: ["x [R, N]"],
  infer: ([x], { k }) => {
    const [rows, n] = x!.shape as [number, number];
    if (k > n) throw new ShapeError(`topK: k ${k} does not fit rows of ${n}`);
    return [
      { shape: [rows, k], dtype: "f32" },
      { shape: [rows, k], dtype: "i32" },
    ];
  },
  fallback: ([x], { k }) => {
    const [rows, n] = x!.shape as [number, number];
    const [sr, sn] = x!.strides as [number, number];
    const at = { backend: x!.backend, folded: [n] };
    const others = bind(x!, [sr, 0, sn]);
    const [ranks] = launchInto(rankProgram, { ...at, kept: [rows, n], operands: [bind(x!, [sr, sn, 0]), others] });
    return launchInto(pickProgram, { ...at, kept: [rows, k], operands: [others, bind(ranks!, [n, 0, 1])] });
  },
  saves: { outputs: [1] },
  vjp: ({ outputs: [, indices], inputShapes, grads: [dy] }) => [dy && scatterRows(dy, indices!, inputShapes[0]![1]!)],
  cases: () =>
    casesOf({ "3x33": 4, "2x65": 65, "1x500": 17, "5x1": 1, "0x4": 2 }, (shape, k) => ({
      name: `${k} of ${JSON.stringify(shape)}`,
      inputs: [{ shape }],
      run: (x) => Object.values(topK(x, k)),
      special: true,
    })),
});

const TOP_K: Takes = { "x [..., N]": "f32", k: whole(1) };

/** Largest k elements along the last axis, descending, and their positions (i32); equal elements keep their order. @throws ShapeError */
export const topK = defineCall("topK", TOP_K, (x: Tensor, k: number): { values: Tensor; indices: Tensor } => {
  const [values, indices] = topKOp([x.reshape([-1, x.shape.at(-1)!])], { k });
  const shape = [...x.shape.slice(0, -1), k];
  return { values: values!.reshape(shape), indices: indices!.reshape(shape) };
});
