import { ShapeError } from "../errors.ts";
import { axisIndex, constant, type Expr, load, row } from "../kernel/expr.ts";
import { launch } from "../kernel/launch.ts";
import { foldProgram, makeProgram, readOperand, writeOperand } from "../kernel/program.ts";
import { whole } from "../options.ts";
import type { Tensor } from "../tensor.ts";
import { casesOf } from "./cases.ts";
import { defineCall } from "./defineCall.ts";
import { defineOp } from "./defineOp.ts";
import { scatterRows } from "./indexing.ts";
import type { Takes } from "./inputs.ts";
import { bind, empty } from "./result.ts";

const isAbove = (a: Expr, b: Expr): Expr => a.gt(b).or(a.isNaN().and(b.isNaN().not()));
const isLevel = (a: Expr, b: Expr): Expr => a.eq(b).or(a.isNaN().and(b.isNaN()));

// Axes: row, element; other element. An element's rank is how many others come before it.
const rankProgram = foldProgram("topKRank", {
  inputs: ["f32", "f32"],
  expr: isAbove(load(1), load(0))
    .or(isLevel(load(1), load(0)).and(axisIndex(2).lt(axisIndex(1))))
    .select(constant(1, "i32"), 0),
});

// Axes: row, rank; element. Exactly one element has the rank, so a sum picks it.
const hasRank = load(1, "i32").eq(axisIndex(1));
const pickProgram = makeProgram("topKPick", {
  operands: [readOperand("f32"), readOperand("i32"), writeOperand("f32"), writeOperand("i32")],
  params: [],
  stages: [
    { kind: "reduce", op: "sum", expr: hasRank.select(load(0), 0) },
    { kind: "reduce", op: "sum", expr: hasRank.select(axisIndex(2), 0) },
    {
      kind: "store",
      perRow: true,
      writes: [
        { operand: 2, expr: row(0) },
        { operand: 3, expr: row(1, "i32") },
      ],
    },
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
    const { backend } = x!;
    const ranks = empty(backend, [rows, n], "i32");
    const values = empty(backend, [rows, k], "f32");
    const indices = empty(backend, [rows, k], "i32");
    launch(backend, rankProgram, {
      mapSizes: [rows, n],
      reduceSizes: [n],
      operands: [bind(x!, [sr, sn, 0]), bind(x!, [sr, 0, sn]), bind(ranks, [n, 1, 0])],
    });
    launch(backend, pickProgram, {
      mapSizes: [rows, k],
      reduceSizes: [n],
      operands: [bind(x!, [sr, 0, sn]), bind(ranks, [n, 0, 1]), bind(values, [k, 1, 0]), bind(indices, [k, 1, 0])],
    });
    return [values, indices];
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
