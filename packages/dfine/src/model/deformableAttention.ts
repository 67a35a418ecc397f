import { buffer, type Initializer, Linear, Module, xavierUniform } from "@dfine/nn";
import {
  type Backend,
  concat,
  defineMap,
  deformableSample,
  recordsAnySize,
  type Shape,
  softmax,
  split,
  type Tensor,
  tensor,
  where,
  writeTensor,
  zeros,
} from "@dfine/tensor";
import type { LevelSize } from "./levelCache.ts";

const samplingLocations = defineMap(
  "samplingLocations",
  (offset, centre, side, pointScale, offsetScale) => centre.add(offset.mul(pointScale).mul(side).mul(offsetScale)),
  { inputs: [[-2, 2], [0, 1], [0.1, 1], [0.1, 1], 0.5] },
);

const locationsByLevel = defineMap("locationsByLevel", (offset, centre, size) => centre.add(offset.div(size)), {
  inputs: [
    [-2, 2],
    [0, 1],
    [1, 9],
  ],
});

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

/** What distinguishes the deformable attentions of D-FINE and other DETRs. */
export interface DeformableOptions {
  readonly heads: number;
  /** Per head on each level, finest first. */
  readonly points: readonly number[];
  /** Share of the box by which an offset of one moves, before it is divided by the level's points; default 0.5. */
  readonly offsetScale?: number;
  /** "discrete" takes the nearest pixel, and its offsets stay as they began; default "bilinear". */
  readonly method?: "bilinear" | "discrete";
  /** Linear layers before the samples are taken and after they are summed. Then the value is [B, N, D]. */
  readonly projections?: boolean;
  /** Keeps 1 / points of the level, for every point, in the state dict. */
  readonly storesPointScale?: boolean;
}

export interface DeformableInput {
  /** [B, M, D] */
  readonly query: Tensor;
  /**
   * What is sampled around, in 0–1: boxes (cxcywh), whose sides are the offsets' unit, or points (xy), where an offset of
   * one is a pixel of its level. [B, M, 4 or 2] for all levels, or [B, M, levels, 4 or 2].
   */
  readonly reference: Tensor;
  /** Tokens of all levels [B, N, heads, D / heads], or [B, N, D]. */
  readonly value: Tensor;
  readonly levels: readonly LevelSize[];
  /** Tokens that count as zero [B, N], bool. */
  readonly padding?: Tensor | undefined;
}

/** Weighted samples of the maps at learned places around each query's reference → [B, M, D]. Zhu et al. 2021. */
export class DeformableAttention extends Module<[input: DeformableInput], Tensor> {
  readonly numPointsScale: Tensor | undefined;
  readonly samplingOffsets: Linear;
  readonly attentionWeights: Linear;
  readonly valueProj: Linear | undefined;
  readonly outputProj: Linear | undefined;
  readonly #options: DeformableOptions;
  readonly #points: number;

  constructor(features: number, options: DeformableOptions) {
    super();
    const { heads, points, method, projections, storesPointScale } = options;
    const zero = { weightInit: 0, biasInit: 0 };
    const projection = () => new Linear(features, features, { weightInit: xavierUniform, biasInit: 0 });
    this.#options = options;
    this.#points = points.reduce((sum, count) => sum + count, 0);
    this.numPointsScale = storesPointScale ? buffer(zeros([this.#points])) : undefined;
    this.samplingOffsets = new Linear(features, heads * this.#points * 2, {
      ...zero,
      biasInit: offsetsInit(heads, points),
    });
    this.attentionWeights = new Linear(features, heads * this.#points, zero);
    this.valueProj = projections ? projection() : undefined;
    this.outputProj = projections ? projection() : undefined;
    // In float32 whatever the model computes in, as officially.
    if (this.numPointsScale) writeTensor(this.numPointsScale, Float32Array.from(this.#pointScales()));
    if (method === "discrete") this.samplingOffsets.freeze();
  }

  /** Numbers of each level, repeated for each of its points. */
  #perPoint<T>(levels: readonly T[], numbers: (level: T, points: number) => number[]): number[] {
    const { points } = this.#options;
    return levels.flatMap((level, i) => Array.from({ length: points[i]! }, () => numbers(level, points[i]!)).flat());
  }

  #pointScales(): number[] {
    return this.#perPoint(this.#options.points, (_, count) => [1 / count]);
  }

  protected forward({ query, reference, value, levels, padding }: DeformableInput): Tensor {
    const { heads, points, method = "bilinear" } = this.#options;
    const [batch, queries] = query.shape as [number, number, number];
    const perHead = [batch, queries, heads, this.#points];
    const offsets = this.samplingOffsets.call(query).reshape([...perHead, 2]);
    const weights = softmax(this.attentionWeights.call(query).reshape(perHead));
    const out = deformableSample(
      { value: this.#values(value, padding), locations: this.#locations(offsets, reference, levels), weights },
      { method, levels: levels.map((level, i) => ({ ...level, points: points[i]! })) },
    );
    return this.outputProj?.call(out) ?? out;
  }

  /** → [B, N, heads, D / heads] */
  #values(value: Tensor, padding: Tensor | undefined): Tensor {
    const { shape } = value;
    const split: Shape = [shape[0]!, shape[1]!, this.#options.heads, -1];
    const projected = this.valueProj ? this.valueProj.call(value).reshape(split) : value;
    return padding ? where(padding.unsqueeze(2).unsqueeze(3), 0, projected) : projected;
  }

  /** Offsets [B, M, heads, P, 2] → places in 0–1 of each level. */
  #locations(offsets: Tensor, reference: Tensor, levels: readonly LevelSize[]): Tensor {
    const { offsetScale = 0.5 } = this.#options;
    const around = this.#aroundPoints(reference);
    if (around.shape.at(-1) === 2) return locationsByLevel(offsets, around, this.#sizes(levels, offsets.backend));
    const [centre, side] = split(around, [2, 2], -1) as [Tensor, Tensor];
    const scale = this.numPointsScale ?? tensor(this.#pointScales(), [this.#points], { backend: offsets.backend });
    return samplingLocations(offsets, centre, side, scale.unsqueeze(1), offsetScale);
  }

  /** Width and height of every point's level [P, 2], by ops alone in recordings that are to fit any size. */
  #sizes(levels: readonly LevelSize[], backend: Backend): Tensor {
    const { points } = this.#options;
    if (!recordsAnySize())
      return tensor(
        this.#perPoint(levels, ({ width, height }) => [width, height]),
        [this.#points, 2],
        { backend },
      );
    const filled = (count: number, value: number) => zeros([count, 1], { backend }).add(value);
    return concat(
      levels.map(({ width, height }, i) => concat([filled(points[i]!, width), filled(points[i]!, height)], 1)),
    );
  }

  /** The reference of every point [B, M, 1, P or 1, 4 or 2]. */
  #aroundPoints(reference: Tensor): Tensor {
    const { shape } = reference;
    const [batch, queries] = shape as [number, number];
    const numbers = shape.at(-1)!;
    if (shape.length === 3) return reference.reshape([batch, queries, 1, 1, numbers]);
    const { points } = this.#options;
    const ofLevels = split(
      reference,
      points.map(() => 1),
      2,
    );
    const ofPoints = ofLevels.map((level, i) => level.expand([batch, queries, points[i]!, numbers]));
    return concat(ofPoints, 2).unsqueeze(2);
  }
}
