import {
  amin,
  arange,
  concat,
  equal,
  less,
  log,
  logicalAnd,
  mul,
  stack,
  sub,
  type Tensor,
  toFloat,
  where,
  writeTensor,
  zeros,
} from "@dfine/tensor";
import { logFloat32 } from "./float32Functions.ts";
import type { LevelSize } from "./levelCache.ts";
import { quotient } from "./quotient.ts";

const f32 = Math.fround;

/** Side of anchors on the finest level, in image sides; it doubles from level to level. */
const FINEST_SIDE = 0.05;
const sideOf = (level: number): number => f32(f32(FINEST_SIDE) * 2 ** level);

/**
 * One anchor for each token of the levels, finest first, as cxcywh through the inverse sigmoid [N, 4]. Those with a
 * component within `margin` of 0 or 1 are invalid: infinite, and 0 in `valid` [N]. Computed in float32, as officially,
 * because the comparison is strict and some anchors lie on the margin.
 */
export function makeAnchors(
  levels: readonly LevelSize[],
  margin: number,
): { anchors: Float32Array; valid: Int32Array } {
  const count = levels.reduce((sum, { height, width }) => sum + height * width, 0);
  const anchors = new Float32Array(count * 4).fill(Number.POSITIVE_INFINITY);
  const valid = new Int32Array(count);
  const [low, high] = [f32(margin), f32(1 - margin)];
  const isInside = (value: number): boolean => value > low && value < high;
  const unsigmoid = (value: number): number => logFloat32(f32(value / f32(1 - value)));
  let token = 0;
  levels.forEach(({ height, width }, level) => {
    const side = sideOf(level);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++, token++) {
        const [cx, cy] = [f32((x + 0.5) / width), f32((y + 0.5) / height)];
        if (!isInside(cx) || !isInside(cy) || !isInside(side)) continue;
        valid[token] = 1;
        anchors[token * 4] = unsigmoid(cx);
        anchors[token * 4 + 1] = unsigmoid(cy);
        anchors.fill(unsigmoid(side), token * 4 + 2, token * 4 + 4);
      }
    }
  });
  return { anchors, valid };
}

/** `makeAnchors` on the device: anchors [1, N, 4] and which are valid [1, N, 1], bool. */
export function anchorTensors(levels: readonly LevelSize[], margin: number): [anchors: Tensor, valid: Tensor] {
  const tokens = levels.reduce((sum, { height, width }) => sum + height * width, 0);
  // Sizes that no device holds are refused here, before anything is computed.
  const made: [Tensor, Tensor] = [zeros([1, tokens, 4]), zeros([1, tokens, 1], { dtype: "bool" })];
  const { anchors, valid } = makeAnchors(levels, margin);
  writeTensor(made[0], anchors);
  writeTensor(made[1], valid);
  return made;
}

/** `anchorTensors` by ops alone, up to rounding. */
export function anchorOps(levels: readonly LevelSize[], margin: number): [anchors: Tensor, valid: Tensor] {
  const boxes = concat(
    levels.map(({ height, width }, level) => {
      const token = arange(height * width);
      const row = quotient(token, width);
      const centre = (index: Tensor, count: number): Tensor => toFloat(index).add(0.5).div(count);
      const cx = centre(sub(token, mul(row, width)), width);
      const side = cx.mul(0).add(sideOf(level));
      return stack([cx, centre(row, height), side, side], 1);
    }),
  );
  const inside = logicalAnd(less(margin, boxes), less(boxes, 1 - margin));
  const valid = equal(amin(toFloat(inside), 1, { keepDim: true }), 1);
  const anchors = where(valid, log(boxes.div(boxes.neg().add(1))), Number.POSITIVE_INFINITY);
  return [anchors.unsqueeze(0), valid.unsqueeze(0)];
}
