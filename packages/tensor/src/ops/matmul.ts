import { ShapeError } from "../errors.ts";
import { broadcastShapes, broadcastStrides, sameShape, shapeText } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { add } from "./arithmetic.ts";
import { caseOf } from "./cases.ts";
import { contract } from "./contract.ts";
import { defineCall } from "./defineCall.ts";
import { defineOp } from "./defineOp.ts";
import type { Takes } from "./inputs.ts";
import { sumTo } from "./sumTo.ts";

function inferMatmul(a: Tensor, b: Tensor) {
  const m = a.shape.at(-2)!;
  const k = a.shape.at(-1)!;
  const k2 = b.shape.at(-2)!;
  const n = b.shape.at(-1)!;
  if (k !== k2)
    throw new ShapeError(
      `matmul: inner sizes differ: ${shapeText(a.shape)} · ${shapeText(b.shape)} (${k} ≠ ${k2})${k === n ? "; did you mean to transpose the second one?" : ""}`,
    );
  return { batch: broadcastShapes("matmul", [a.shape.slice(0, -2), b.shape.slice(0, -2)]), m, k, n };
}

// Another name for the second K: `inferMatmul` says more.
const TAKES = ["a [..., M, K]", "b [..., K', N]"];

const matmulOp = defineOp("matmul", {
  takes: TAKES,
  strided: true,
  infer: ([a, b]) => {
    const { batch, m, n } = inferMatmul(a!, b!);
    return [{ shape: [...batch, m, n], dtype: "f32" }];
  },
  fallback: ([a, b]) => {
    const { batch, m, k, n } = inferMatmul(a!, b!);
    const batchStrides = (t: Tensor) => broadcastStrides(t.shape.slice(0, -2), t.strides.slice(0, -2), batch);
    return [
      contract(
        { kept: [...batch, m, n], summed: [k] },
        { tensor: a!, strides: [...batchStrides(a!), a!.strides.at(-2)!, 0, a!.strides.at(-1)!] },
        { tensor: b!, strides: [...batchStrides(b!), 0, b!.strides.at(-1)!, b!.strides.at(-2)!] },
      ),
    ];
  },
  saves: { inputs: [0, 1] },
  vjp: ({ inputs: [a, b], inputShapes, grads: [dy], needs, into }) => {
    // A weight's gradient first: the other's is what goes on, and a backend may join that with what comes next.
    const db = needs[1] ? sumTo(product(turned(a!), dy!, into[1]), inputShapes[1]!, into[1]) : undefined;
    const da = needs[0] ? sumTo(product(dy!, turned(b!), into[0]), inputShapes[0]!, into[0]) : undefined;
    return [da, db];
  },
  cases: () =>
    [
      "3x4 4x5",
      "17x65 65x33",
      "2x3x5x7 2x3x7x4",
      "2x1x5x7 3x7x4",
      "1x1 1x1",
      "4x0 0x3",
      "0x4 4x3",
      "64x128 128x96",
    ].map((text) => caseOf(text, (a, b) => [matmul(a, b)])),
});

const turned = (x: Tensor): Tensor => x.transpose(-1, -2);

/** a · b, written into a place shaped like it if there is one, row by row or column by column. */
function product(a: Tensor, b: Tensor, into: Tensor | undefined): Tensor {
  const { batch, m, n } = inferMatmul(a, b);
  const place = into && sameShape(into.shape, [...batch, m, n]) ? into : undefined;
  if (!place || place.isContiguous) return matmulOp([a, b], {}, place)[0]!;
  return turned(matmulOp([turned(b), turned(a)], {}, turned(place))[0]!);
}

/** a [..., M, K] · b [..., K, N] → [..., M, N]; leading axes broadcast. Transpose views cost nothing. @throws ShapeError */
export const matmul = defineCall("matmul", TAKES, (a: Tensor, b: Tensor): Tensor => matmulOp([a, b], {})[0]!);

const LINEAR: Takes = ["x [..., in]", "weight [out, in]", "bias? [out]"];

/** x [..., in] · weightᵀ [in, out] + bias [out], with PyTorch's weight layout [out, in]. @throws ShapeError */
export const linear = defineCall("linear", LINEAR, (x: Tensor, weight: Tensor, bias?: Tensor): Tensor => {
  // One matrix instead of a batch: the leading axes have the same weight.
  const rows = matmul(x.reshape([-1, weight.shape[1]!]), weight.transpose(0, 1));
  const y = rows.reshape([...x.shape.slice(0, -1), weight.shape[0]!]);
  const result = bias ? add(y, bias) : y;
  for (const own of new Set([rows, y])) if (own !== result) own.dispose();
  return result;
});
