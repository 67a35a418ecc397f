import { type Config, ConfigError, DFINE_PRESET_NAMES } from "../../../config/config.ts";
import type { ConfigOptions } from "../../../config/resolve.ts";
import type { DFineConfig } from "../../../model/dfineConfig.ts";

type Change = (base: Config) => ConfigOptions;

/** The model whose parts are changed. @throws ConfigError for one that is no D-FINE */
function dfineOf({ model, preset }: Config): DFineConfig {
  if (model.architecture === "dfine") return model;
  throw new ConfigError(
    `experiment: this table changes parts of D-FINE, and preset ${preset} is another detector; choose one of ${DFINE_PRESET_NAMES.join(", ")}`,
  );
}

/** As many points on each level, twelve in all. */
export const evenPoints = (base: Config): number[] =>
  dfineOf(base).decoder.points.map((_, __, { length }) => Math.round(12 / length));

/** Points with more on the level at `position`, where there are three; those of the base elsewhere. */
export const unevenPoints = (base: Config, position: number): number[] => {
  const { points } = dfineOf(base).decoder;
  return points.length === 3 ? points.map((_, level) => (level === position ? 6 : 3)) : points;
};

/**
 * The steps from RT-DETR to D-FINE, first to last, as what a model without them has in their place. An earlier one, laid over a
 * later one, takes back what only that one needs.
 */
export const WITHOUT = {
  projectionRemoval: () => ({ model: { decoder: { attentionProjections: true, inputProjection: "all" } } }),
  gate: () => ({ model: { decoder: { fusion: "residual" } } }),
  gelan: (base) => ({
    model: { encoder: { block: "csp", downsample: "conv", expansion: dfineOf(base).encoder.expansion } },
  }),
  halving: (base) => ({ model: { encoder: { expansion: 2 * dfineOf(base).encoder.expansion } } }),
  points: (base) => ({ model: { decoder: { points: evenPoints(base) } } }),
  strategy: () => ({ train: { augmentation: { stopEpoch: 0 } } }),
  fdr: () => ({ model: { decoder: { boxHead: "delta" } } }),
  goLsd: () => ({ criterion: { matching: "layer", distillation: [] } }),
} satisfies Record<string, Change>;

/** A step from RT-DETR to D-FINE. */
export type Step = keyof typeof WITHOUT;
const STEPS = Object.keys(WITHOUT) as Step[];

/** A model that has taken the steps up to `last` alone; none without it. */
export const upTo =
  (last?: Step) =>
  (base: Config): ConfigOptions[] =>
    STEPS.slice(last === undefined ? 0 : STEPS.indexOf(last) + 1)
      .reverse()
      .map((step) => WITHOUT[step](base));
