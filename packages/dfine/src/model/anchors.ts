import {
  amin,
  arange,
  type Backend,
  concat,
  equal,
  less,
  log,
  logicalAnd,
  mul,
  recordsAnySize,
  stack,
  sub,
  type Tensor,
  tensor,
  toFloat,
  where,
  withBackend,
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

/** How anchors are computed. */
interface Arithmetic {
  readonly rounded: (x: number) => number;
  readonly log: (x: number) => number;
  readonly floats: (length: number) => Float32Array | Float64Array;
}
const SINGLE: Arithmetic = { rounded: f32, log: logFloat32, floats: (length) => new Float32Array(length) };
const DOUBLE: Arithmetic = { rounded: (x) => x, log: Math.log, floats: (length) => new Float64Array(length) };

/** What anchors are made for. */
export interface AnchorOptions {
  readonly margin: number;
  /** Rows and columns of each level that the image fills; by default all. */
  readonly filled?: readonly LevelSize[];
}

/**
 * One anchor for each token of the levels, finest first, as cxcywh through the inverse sigmoid [N, 4]. Those with a
 * component within `margin` of 0 or 1 are invalid: infinite, and 0 in `valid` [N].
 */
function anchorsBy(
  { rounded, log, floats }: Arithmetic,
  levels: readonly LevelSize[],
  { margin, filled = levels }: AnchorOptions,
): { anchors: Float32Array | Float64Array; valid: Int32Array } {
  const count = levels.reduce((sum, { height, width }) => sum + height * width, 0);
  const anchors = floats(count * 4).fill(Number.POSITIVE_INFINITY);
  const valid = new Int32Array(count);
  const [low, high] = [rounded(margin), rounded(1 - margin)];
  const isInside = (value: number): boolean => value > low && value < high;
  const unsigmoid = (value: number): number => log(rounded(value / rounded(1 - value)));
  let token = 0;
  levels.forEach(({ height, width }, level) => {
    const side = rounded(rounded(FINEST_SIDE) * 2 ** level);
    const image = filled[level]!;
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++, token++) {
        const [cx, cy] = [rounded((x + 0.5) / image.width), rounded((y + 0.5) / image.height)];
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

/** D-FINE's, in float32 as officially, because the comparison is strict and some anchors lie on the margin. */
export const makeAnchors = (levels: readonly LevelSize[], margin: number) => anchorsBy(SINGLE, levels, { margin });

/**
 * Anchors of a batch, each image's in what it fills [B, N, 4], and which are valid [B, N, 1], bool. In double precision;
 * without `filled` for all images alike [1, N, …].
 */
export function proposalTensors(
  levels: readonly LevelSize[],
  {
    margin,
    filled = [levels],
    backend,
  }: { margin: number; filled: readonly (readonly LevelSize[])[] | undefined; backend: Backend },
): [anchors: Tensor, valid: Tensor] {
  if (recordsAnySize()) return withBackend(backend, () => anchorOps(levels, margin));
  const made = filled.map((image) => anchorsBy(DOUBLE, levels, { margin, filled: image }));
  const all = (arrays: readonly ArrayLike<number>[]) => Float64Array.from(arrays.flatMap((array) => Array.from(array)));
  const tokens = made[0]!.valid.length;
  return [
    tensor(all(made.map(({ anchors }) => anchors)), [made.length, tokens, 4], { backend }),
    tensor(Array.from(all(made.map(({ valid }) => valid))), [made.length, tokens, 1], { dtype: "bool", backend }),
  ];
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
