import type { Tensor } from "../tensor.ts";
import { copyInto, filled } from "./copy.ts";
import { sliceLayout } from "./result.ts";

type Pair = readonly [number, number];

/**
 * x [B, C, H, W] in a plane of `size`, from `start` on, with `step` − 1 places between its elements; `value` everywhere
 * else (default 0). Not recorded.
 */
export function spread(
  x: Tensor,
  { size, start, step = [1, 1], value = 0 }: { size: Pair; start: Pair; step?: Pair; value?: number },
): Tensor {
  const target = filled(x.backend, [x.shape[0]!, x.shape[1]!, ...size], { value, dtype: x.dtype });
  const range = (i: 0 | 1) => ({ start: start[i], end: start[i] + (x.shape[2 + i]! - 1) * step[i] + 1, step: step[i] });
  copyInto(target.alias({ layout: sliceLayout(target, [null, null, range(0), range(1)]) }), x);
  return target;
}
