import { aboutShape, listOf } from "../options.ts";
import type { Tensor } from "../tensor.ts";
import { tensor } from "./create.ts";
import { defineCall } from "./defineCall.ts";
import { matmul } from "./matmul.ts";

/** Weights [to, from] of linear interpolation along one axis, pixel centres at ½, edge pixels repeated outwards. */
function interpolationWeights(from: number, to: number): Float64Array {
  const weights = new Float64Array(to * from);
  for (let i = 0; i < to; i++) {
    const at = Math.max(0, ((i + 0.5) * from) / to - 0.5);
    const low = Math.min(Math.floor(at), from - 1);
    const high = Math.min(low + 1, from - 1);
    weights[i * from + low]! += 1 - (at - low);
    weights[i * from + high]! += at - low;
  }
  return weights;
}

/** Resizes x [B, C, H, W] to [B, C, h, w] bilinearly, without antialiasing, `align_corners` false. @throws ShapeError */
export const interpolateBilinear = defineCall(
  "interpolateBilinear",
  { "x [B, C, H, W]": "f32", size: aboutShape(listOf(2, 1)) },
  (x: Tensor, size: readonly [number, number]): Tensor => {
    const [height, width] = x.shape.slice(2) as [number, number];
    const along = (from: number, to: number): Tensor =>
      tensor(interpolationWeights(from, to), [to, from], { backend: x.backend });
    return matmul(matmul(along(height, size[0]), x), along(width, size[1]).transpose(0, 1));
  },
);
