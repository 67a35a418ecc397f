import { ShapeError } from "../errors.ts";
import { shapeText } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { tensor } from "./create.ts";
import { checkInputs, inputRules } from "./inputs.ts";
import { matmul } from "./matmul.ts";
import { casesOf, register } from "./registry.ts";

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

const RULES = inputRules(["x"]);

/** Resizes x [B, C, H, W] to [B, C, h, w] bilinearly, without antialiasing, `align_corners` false. @throws ShapeError */
export function interpolateBilinear(x: Tensor, size: readonly [number, number]): Tensor {
  checkInputs("interpolateBilinear", [x], RULES);
  if (x.rank !== 4 || size.length !== 2 || size.some((n) => !Number.isInteger(n) || n < 1))
    throw new ShapeError(
      `interpolateBilinear: takes [B, C, H, W] and a size from 1 on, got ${shapeText(x.shape)}, ${size}`,
    );
  const [height, width] = x.shape.slice(2) as [number, number];
  const along = (from: number, to: number): Tensor =>
    tensor(interpolationWeights(from, to), [to, from], { backend: x.backend });
  return matmul(matmul(along(height, size[0]), x), along(width, size[1]).transpose(0, 1));
}

register({
  name: "interpolateBilinear",
  kind: "op",
  rules: RULES,
  cases: () =>
    casesOf({ "2x3x5x4": [7, 9], "1x2x8x6": [3, 6] } as const, (shape, size) => ({
      name: `${JSON.stringify(shape)} to ${size}`,
      inputs: [{ shape }],
      run: (x) => [interpolateBilinear(x, size)],
    })),
});
