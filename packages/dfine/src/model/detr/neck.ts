import { Conv2d, GroupNorm, Sequential, xavierUniform } from "@dfine/nn";
import type { Tensor } from "@dfine/tensor";
import * as z from "zod";
import { size } from "../../config/numbers.ts";
import { broken, type Level, type Part, type Plan } from "../parts.ts";

const schema = z.strictObject({
  type: z.literal("projection"),
  hiddenDim: size,
  /** Of channels that are normalised together. */
  groups: size,
  /** Those beyond the backbone's are made of its coarsest map, each half as large as the one before. */
  levels: size,
});
type NeckConfig = z.infer<typeof schema>;

/** Makes all maps alike. */
export interface Neck {
  /** By their places in the state dict. */
  readonly layers: readonly Sequential[];
  project(maps: readonly Tensor[]): Tensor[];
}

/** One convolution and norm for each map; coarser levels from the coarsest map and then from each other. Zhu et al. 2021. */
function makeNeck(levels: readonly Level[], { hiddenDim, groups, levels: count }: NeckConfig): Neck {
  const layer = (channels: number, shape: { kernel: number; stride?: number; padding?: number }) =>
    new Sequential([
      new Conv2d(channels, hiddenDim, { ...shape, bias: true, weightInit: xavierUniform, biasInit: 0 }),
      new GroupNorm(groups, hiddenDim),
    ]);
  const layers = Array.from({ length: count }, (_, i) => {
    const level = levels[i];
    if (level) return layer(level.channels, { kernel: 1 });
    const channels = i === levels.length ? levels.at(-1)!.channels : hiddenDim;
    return layer(channels, { kernel: 3, stride: 2, padding: 1 });
  });
  return {
    layers,
    project: (maps) => {
      const projected: Tensor[] = [];
      for (const [i, layer] of layers.entries())
        projected.push(layer.call(maps[i] ?? (i === maps.length ? maps.at(-1)! : projected.at(-1)!)));
      return projected;
    },
  };
}

export const projection: Part<typeof schema, Plan<readonly Level[], Neck>> = {
  schema,
  defaults: (levels) => ({ type: "projection", hiddenDim: 256, groups: 32, levels: levels + 1 }),
  plan: (config) => ({
    problems: (levels) =>
      broken([
        [config.levels >= levels.length, `levels ${config.levels} are fewer than the backbone's ${levels.length}`],
        [
          config.hiddenDim % config.groups === 0,
          `hiddenDim ${config.hiddenDim} must be a multiple of ${config.groups} groups`,
        ],
      ]).map((problem) => `model.neck.${problem}`),
    levels: (levels) =>
      Array.from({ length: config.levels }, (_, i) => ({
        channels: config.hiddenDim,
        stride: levels[i]?.stride ?? levels.at(-1)!.stride * 2 ** (i + 1 - levels.length),
      })),
    make: (levels) => makeNeck(levels, config),
  }),
};
