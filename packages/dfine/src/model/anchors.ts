import { keep, type Tensor, writeTensor, zeros } from "@dfine/tensor";
import { logFloat32 } from "./float32Functions.ts";

const f32 = Math.fround;

/** Height and width of one level's map. */
export interface LevelSize {
  readonly height: number;
  readonly width: number;
}

/** Side of anchors on the finest level, in image sides; it doubles from level to level. */
const FINEST_SIDE = 0.05;

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
  let token = 0;
  levels.forEach(({ height, width }, level) => {
    const side = f32(f32(FINEST_SIDE) * 2 ** level);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const anchor = [f32((x + 0.5) / width), f32((y + 0.5) / height), side, side];
        if (anchor.every((value) => value > low && value < high)) {
          valid[token] = 1;
          anchors.set(
            anchor.map((value) => logFloat32(f32(value / f32(1 - value)))),
            token * 4,
          );
        }
        token++;
      }
    }
  });
  return { anchors, valid };
}

export interface AnchorTensors {
  /** [1, N, 4] */
  readonly anchors: Tensor;
  /** [1, N, 1], bool. */
  readonly valid: Tensor;
}

/** Anchors on the device, made once for each set of map sizes. */
export class AnchorCache implements Disposable {
  readonly #margin: number;
  readonly #made = new Map<string, AnchorTensors>();

  constructor(margin: number) {
    this.#margin = margin;
  }

  get(levels: readonly LevelSize[]): AnchorTensors {
    const key = levels.map(({ height, width }) => `${height}x${width}`).join();
    let found = this.#made.get(key);
    if (!found) {
      const tokens = levels.reduce((sum, { height, width }) => sum + height * width, 0);
      // Sizes that no device holds are refused here, before anything is computed.
      found = keep({ anchors: zeros([1, tokens, 4]), valid: zeros([1, tokens, 1], { dtype: "bool" }) });
      const { anchors, valid } = makeAnchors(levels, this.#margin);
      writeTensor(found.anchors, anchors);
      writeTensor(found.valid, valid);
      this.#made.set(key, found);
    }
    return found;
  }

  [Symbol.dispose](): void {
    for (const { anchors, valid } of this.#made.values()) {
      anchors.dispose();
      valid.dispose();
    }
    this.#made.clear();
  }
}
