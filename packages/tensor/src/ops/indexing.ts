import { axisIndex, load, loadAt, param } from "../kernel/expr.ts";
import { launch } from "../kernel/launch.ts";
import {
  foldProgram,
  indexedOperand,
  makeProgram,
  mapProgram,
  readOperand,
  updateOperand,
  writeOperand,
} from "../kernel/program.ts";
import { sizeOption } from "../options.ts";
import type { Tensor } from "../tensor.ts";
import { add } from "./arithmetic.ts";
import { casesOf } from "./cases.ts";
import { filled, perDtype } from "./copy.ts";
import { arange } from "./create.ts";
import { defineCall } from "./defineCall.ts";
import { defineOp } from "./defineOp.ts";
import { ANY, type Takes } from "./inputs.ts";
import { bind, launchInto } from "./result.ts";

// Map axes: index position, column. Param: columns.
const selectPrograms = perDtype((dtype) => {
  const element = loadAt(0, load(1, "i32").mul(param(0, "i32")).add(axisIndex(1)), dtype);
  return makeProgram("indexSelect", {
    operands: [indexedOperand(dtype), readOperand("i32"), writeOperand(dtype)],
    params: ["i32"],
    stages: [{ kind: "store", perRow: false, writes: [{ operand: 2, expr: element }] }],
  });
});

// Map axes: index position, column. Params: columns, rows. An index outside the rows must not reach a neighbour's row.
const inRows = load(0, "i32")
  .lt(0)
  .not()
  .and(load(0, "i32").lt(param(1, "i32")));
const target = inRows.select(load(0, "i32").mul(param(0, "i32")).add(axisIndex(1)), -1);
const addProgram = makeProgram("indexAdd", {
  operands: [readOperand("i32"), readOperand("f32"), { ...updateOperand("f32"), indexed: true }],
  params: ["i32", "i32"],
  stages: [{ kind: "store", perRow: false, writes: [{ operand: 2, index: target, expr: load(1) }] }],
});

const SELECT: Takes = { "x [R, D]": ANY, "index [K]": "i32" };

const indexSelectOp = defineOp("indexSelect", {
  takes: SELECT,
  infer: ([x, index]) => [{ shape: [index!.size, x!.shape[1]!], dtype: x!.dtype }],
  fallback: ([source, index]) => {
    const x = source!.contiguous();
    const columns = x.shape[1]!;
    return launchInto(selectPrograms[x.dtype], {
      backend: x.backend,
      kept: [index!.size, columns],
      operands: [bind(x, [0, 0]), bind(index!, [index!.strides[0]!, 0])],
      numbers: [columns],
    });
  },
  saves: { inputs: [1] },
  vjp: ({ inputs: [, index], inputShapes, grads: [dy] }) => [indexAdd(index!, dy!, inputShapes[0]![0]!)],
  cases: () =>
    casesOf({ "5x3": 4, "17x65": 33, "9x1": 20, "4x16": 0 }, (shape, count) => ({
      name: `${count} of ${JSON.stringify(shape)}`,
      inputs: [{ shape }, { shape: [count], dtype: "i32", below: shape[0]! }],
      run: (x, index) => [indexSelect(x, index)],
    })),
});

/** Rows of x [R, D] at index [K] (i32, 0…R−1) → [K, D]. The gradient adds rows up. @throws ShapeError, DtypeError */
export const indexSelect = defineCall(
  "indexSelect",
  SELECT,
  (x: Tensor, index: Tensor): Tensor => indexSelectOp([x, index], {})[0]!,
);

const ADD = { "index [K]": "i32", "updates [K, D]": "f32" } as const;

const indexAddOp = defineOp("indexAdd", {
  takes: ADD,
  infer: ([, updates], { rows }) => [{ shape: [rows, updates!.shape[1]!], dtype: "f32" }],
  fallback: ([index, updates], { rows }) => {
    const columns = updates!.shape[1]!;
    const output = filled(updates!.backend, [rows, columns], { value: 0, dtype: "f32" });
    const operands = [bind(index!, [index!.strides[0]!, 0]), bind(updates!), bind(output, [0, 0])];
    launch(output.backend, addProgram, { mapSizes: updates!.shape, reduceSizes: [], operands }, [columns, rows]);
    return [output];
  },
  saves: { inputs: [0] },
  vjp: ({ inputs: [index], grads: [dy] }) => [undefined, indexSelect(dy!, index!)],
  cases: () =>
    casesOf({ "3x5": 4, "40x17": 7, "33x1": 50, "0x4": 3 }, (shape, rows) => ({
      name: `${JSON.stringify(shape)} into ${rows} rows`,
      inputs: [{ shape: [shape[0]!], dtype: "i32", below: rows }, { shape }],
      run: (index, updates) => [indexAdd(index, updates, rows)],
    })),
});

/** Zeros [rows, D] plus updates [K, D] added at index [K] (i32), in ascending k; an index outside is dropped. */
export const indexAdd = defineCall(
  "indexAdd",
  { ...ADD, rows: sizeOption },
  (index: Tensor, updates: Tensor, rows: number): Tensor => indexAddOp([index, updates], { rows })[0]!,
);

const FLAT_ROWS: Takes = { "index [R, K]": "i32", width: sizeOption };

/** Per-row positions [R, K] in rows of `width` as positions [R·K] in the flattened [R·width]. */
export const flatRows = defineCall("flatRows", FLAT_ROWS, (index: Tensor, width: number): Tensor => {
  const starts = arange(index.shape[0]!, { step: width, backend: index.backend });
  return add(index, starts.reshape([-1, 1])).reshape([index.size]);
});

/** Up to so many positions of a row, each element looks at all of them instead of being looked up. */
const FEW_POSITIONS = 16;
// Axes: row, element; position.
const fewProgram = foldProgram("scatterRows", {
  inputs: ["f32", "i32"],
  folds: [["sum", load(1, "i32").eq(axisIndex(1)).select(load(0), 0)]],
});

/** Zeros [R, width] plus the R·K elements of dy at positions [R, K] of each row. */
export function scatterRows(dy: Tensor, index: Tensor, width: number): Tensor {
  const [rows, count] = index.shape as [number, number];
  if (count <= FEW_POSITIONS) {
    const operands = [dy.reshape([rows, count]), index].map((x) => bind(x, [x.strides[0]!, 0, x.strides[1]!]));
    return launchInto(fewProgram, { backend: dy.backend, kept: [rows, width], folded: [count], operands })[0]!;
  }
  return indexAdd(flatRows(index, width), dy.reshape([-1, 1]), rows * width).reshape([rows, width]);
}

const oneHotProgram = mapProgram("oneHot", {
  inputs: ["i32"],
  params: [],
  outputs: [load(0, "i32").eq(axisIndex(1)).select(1, 0)],
});

const ONE_HOT: Takes = { "labels [K]": "i32", classes: sizeOption };

/** labels [K] (i32) → [K, classes] with a 1 at each label; a label outside 0…classes−1 gives zeros. No gradient. */
export const oneHot = defineCall("oneHot", ONE_HOT, (labels: Tensor, classes: number): Tensor => {
  const operands = [bind(labels, [labels.strides[0]!, 0])];
  return launchInto(oneHotProgram, { backend: labels.backend, kept: [labels.size, classes], operands })[0]!;
});
