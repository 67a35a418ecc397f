import { buffer, type Initializer, Linear, Module } from "@dfine/nn";
import { defineMap, deformableSample, softmax, split, type Tensor, tensor } from "@dfine/tensor";
import type { DecoderConfig } from "../config/config.ts";
import type { LevelSize } from "./anchors.ts";

const samplingLocations = defineMap(
  "samplingLocations",
  (offset, centre, side, pointScale, offsetScale) => centre.add(offset.mul(pointScale).mul(side).mul(offsetScale)),
  { inputs: [[-2, 2], [0, 1], [0.1, 1], [0.1, 1], 0.5] },
);

/** Points of each head lie in a direction of its own, further out from point to point of a level. */
function offsetsInit(heads: number, points: readonly number[]): Initializer {
  const steps = points.flatMap((count) => Array.from({ length: count }, (_, k) => k + 1));
  return () => {
    const directions = Array.from({ length: heads }, (_, head) => {
      const angle = (2 * Math.PI * head) / heads;
      const [x, y] = [Math.cos(angle), Math.sin(angle)];
      const longest = Math.max(Math.abs(x), Math.abs(y));
      return [x / longest, y / longest];
    });
    return Float32Array.from(
      directions.flatMap((direction) => steps.flatMap((step) => direction.map((d) => d * step))),
    );
  };
}

export interface DeformableInput {
  /** [B, M, D] */
  readonly query: Tensor;
  /** Boxes [B, M, 4], cxcywh in 0–1, around which is sampled. */
  readonly reference: Tensor;
  /** Tokens of all levels [B, N, heads, D / heads]. */
  readonly value: Tensor;
  readonly levels: readonly LevelSize[];
}

/**
 * Weighted samples of the maps at learned places relative to each query's box → [B, M, D]; the value is not projected,
 * nor is the output. Zhu et al. 2021, with D-FINE's uneven number of points per level.
 */
export class DeformableAttention extends Module<[input: DeformableInput], Tensor> {
  /** 1 / points of the level, for every point [P]. */
  readonly numPointsScale: Tensor;
  readonly samplingOffsets: Linear;
  readonly attentionWeights: Linear;
  readonly #config: DecoderConfig;

  constructor(config: DecoderConfig) {
    super();
    const { hiddenDim, heads, points, crossAttention } = config;
    const scales = points.flatMap((count) => new Array<number>(count).fill(1 / count));
    const zero = { weightInit: 0, biasInit: 0 };
    this.numPointsScale = buffer(tensor(Float32Array.from(scales)));
    this.samplingOffsets = new Linear(hiddenDim, heads * scales.length * 2, {
      ...zero,
      biasInit: offsetsInit(heads, points),
    });
    this.attentionWeights = new Linear(hiddenDim, heads * scales.length, zero);
    this.#config = config;
    if (crossAttention === "discrete") this.samplingOffsets.freeze();
  }

  protected forward({ query, reference, value, levels }: DeformableInput): Tensor {
    const { heads, points, offsetScale, crossAttention } = this.#config;
    const [batch, queries] = query.shape as [number, number, number];
    const perHead = [batch, queries, heads, this.numPointsScale.size];
    const [centre, side] = split(reference.reshape([batch, queries, 1, 1, 4]), [2, 2], -1) as [Tensor, Tensor];
    const locations = samplingLocations(
      this.samplingOffsets.call(query).reshape([...perHead, 2]),
      centre,
      side,
      this.numPointsScale.unsqueeze(1),
      offsetScale,
    );
    const weights = softmax(this.attentionWeights.call(query).reshape(perHead));
    return deformableSample(
      { value, locations, weights },
      {
        method: crossAttention === "discrete" ? "discrete" : "bilinear",
        levels: levels.map((level, i) => ({ ...level, points: points[i]! })),
      },
    );
  }
}
