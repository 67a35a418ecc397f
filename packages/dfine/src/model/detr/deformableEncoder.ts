import { Module, normalInit, parameter, xavierUniform } from "@dfine/nn";
import { concat, type Tensor } from "@dfine/tensor";
import * as z from "zod";
import { size } from "../../config/numbers.ts";
import { DeformableAttention } from "../deformableAttention.ts";
import { EncoderLayer } from "../encoderLayer.ts";
import type { Tap } from "../outputs.ts";
import { broken, type Level, type Part, type Plan } from "../parts.ts";
import { aroundLevels, type Extents } from "./extents.ts";
import { cellCentres, type Grid, sinePositions } from "./positions.ts";

const schema = z.strictObject({
  type: z.literal("deformable"),
  layers: size,
  feedForwardDim: size,
  heads: size,
  /** Sampling points per head on each level. */
  points: size,
  positionTemperature: z.number().positive(),
  /** Added to the numbers of rows and columns, which begin at 1. */
  positionOffset: z.number(),
});
type EncoderConfig = z.infer<typeof schema>;

/** Maps and where images lie in them. */
export interface MapsInput {
  /** [B, D, h, w], finest first. */
  readonly maps: readonly Tensor[];
  readonly extents: Extents | undefined;
  readonly tap: Tap | undefined;
}

/** Maps → tokens of all of them. */
export type TokenEncoder = Module<[input: MapsInput], Tensor> & {
  /** Added to the positions of each level [levels, D]; it has a place elsewhere in the state dict. */
  readonly levelEmbedding: Tensor;
};

/** Each token of maps [B, D, h, w] looks at places around its own on all of them → [B, N, D]. Zhu et al. 2021. */
export class DeformableEncoder extends Module<[input: MapsInput], Tensor> {
  readonly layers: EncoderLayer<DeformableAttention>[];
  readonly #levelEmbedding: Tensor;
  readonly #position: { features: number; temperature: number; offset: number };

  constructor(levels: readonly Level[], config: EncoderConfig) {
    super();
    const { feedForwardDim, heads, points } = config;
    const hiddenDim = levels[0]!.channels;
    const options = { hiddenDim, feedForwardDim, activation: "relu", weightInit: xavierUniform } as const;
    const attention = { heads, points: levels.map(() => points), projections: true };
    this.layers = Array.from(
      { length: config.layers },
      () => new EncoderLayer(new DeformableAttention(hiddenDim, attention), options),
    );
    this.#levelEmbedding = parameter([levels.length, hiddenDim], normalInit());
    this.#position = {
      features: hiddenDim / 2,
      temperature: config.positionTemperature,
      offset: config.positionOffset,
    };
  }

  get levelEmbedding(): Tensor {
    return this.#levelEmbedding;
  }

  protected forward({ maps, extents, tap }: MapsInput): Tensor {
    const grids = maps.map(
      ({ shape, backend }, l): Grid => ({
        size: { height: shape[2]!, width: shape[3]! },
        filled: extents?.filled.map((levels) => levels[l]!),
        backend,
      }),
    );
    const levels = grids.map(({ size }) => size);
    const position = concat(
      grids.map((grid, l) => {
        const sines = sinePositions(grid, this.#position);
        tap?.(`position.${l}`, sines.transpose(1, 2));
        return sines.add(this.#levelEmbedding.slice([{ start: l, end: l + 1 }, null]));
      }),
      1,
    );
    const tokens = concat(
      maps.map((map) => map.flatten(2).transpose(1, 2)),
      1,
    );
    const centres = concat(grids.map(cellCentres), 1);
    const reference = aroundLevels(centres.expand([tokens.shape[0]!, ...centres.shape.slice(1)]), extents);
    const padding = extents?.padding;
    let x = tokens;
    for (const [i, layer] of this.layers.entries()) {
      const value = x;
      x = layer.call(value, (attention) =>
        attention.call({ query: value.add(position), reference, value, levels, padding }),
      );
      tap?.(`encoder.layer.${i}`, x);
    }
    return x;
  }
}

function problems({ heads }: EncoderConfig, levels: readonly Level[]): string[] {
  const width = levels[0]!.channels;
  return broken([
    [
      width % heads === 0 && width % 4 === 0,
      `model.neck.hiddenDim ${width} must be a multiple of 4 and of ${heads} heads`,
    ],
  ]);
}

export const deformable: Part<typeof schema, Plan<readonly Level[], TokenEncoder>> = {
  schema,
  defaults: () => ({
    type: "deformable",
    ...{ layers: 6, feedForwardDim: 1024, heads: 8, points: 4, positionTemperature: 10000, positionOffset: -0.5 },
  }),
  plan: (config) => ({
    problems: (levels) => problems(config, levels),
    make: (levels) => new DeformableEncoder(levels, config),
  }),
};
