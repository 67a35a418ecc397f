import { arange, casesOf, defineMap, defineRow, type Tensor, toFloat } from "@dfine/tensor";

const weightingMap = defineMap(
  "weighting",
  (position, up, scale, half) => {
    const bound = up.abs().mul(scale.abs());
    const steps = position.abs();
    const size = steps.eq(half).select(bound.mul(2), steps.div(half.sub(1)).mul(bound.add(1).log()).exp().sub(1));
    return position.lt(0).select(size.neg(), size);
  },
  { inputs: [[-3, 3], [0.1, 1], [2, 8], 16] },
);

/** A number of the model as a float, with its gradient where it is learned: official files keep whole ones as integers. */
export const asFloat = (x: Tensor): Tensor => (x.dtype === "i32" ? toFloat(x) : x);

/**
 * W(0)…W(regMax) [regMax + 1] from `up` and `regScale` [1] as they stand in the model: `weightingFunction` on the device.
 * D-FINE §4.1.
 */
export function binWeights(parameters: { up: Tensor; regScale: Tensor; regMax: number }): Tensor {
  const { up, regScale, regMax } = parameters;
  const half = regMax / 2;
  const position = toFloat(arange(regMax + 1, { start: -half, backend: up.backend }));
  return weightingMap(position, up, asFloat(regScale), half);
}

const integralRow = defineRow(
  "integral",
  (row, logits, weights) => {
    const e = logits.sub(row.max(logits)).exp();
    row.storeRow(row.sum(e.mul(weights)).div(row.sum(e)));
  },
  {
    takes: ["logits", "weights"],
    cases: (op) =>
      casesOf("2x3x33 1x5 0x7", (shape) => ({
        inputs: [{ shape }, { shape: shape.slice(-1) }],
        run: (...inputs) => op(inputs, -1),
      })),
  },
);

/**
 * Expected distance of each edge: corners [..., 4 · (regMax + 1)] (logits of bins, edges left, top, right, bottom) and
 * W(n) [regMax + 1] → [..., 4] in units of box side / regScale. D-FINE §4.1, eq. 2.
 */
export function integral(corners: Tensor, weights: Tensor): Tensor {
  const leading = corners.shape.slice(0, -1);
  return integralRow([corners.reshape([...leading, 4, weights.size]), weights], -1)[0]!.reshape([...leading, 4]);
}
