import { type Config, DETR_PRESET_NAMES, DFINE_PRESET_NAMES } from "../packages/dfine/src/config/config.ts";
import { detrCriterion } from "../packages/dfine/src/config/criteria.ts";
import { presetConfig } from "../packages/dfine/src/config/presets.ts";

type Family = (typeof DETR_PRESET_NAMES)[number];
/** A DETR by its preset's name, plain or with the paper's two methods. */
export type DetrName = Family | `${Family}-fdr`;

export const DETR_NAMES: readonly DetrName[] = DETR_PRESET_NAMES.flatMap(
  (family) => [family, `${family}-fdr`] as const,
);
/** Models that a pack may have numbers of. */
export const PACK_PRESETS = [...DFINE_PRESET_NAMES, ...DETR_NAMES];

/** The configuration of a DETR; packs are made with COCO's category ids as classes. */
export function detrConfigOf(name: DetrName): Config {
  const plain = DETR_PRESET_NAMES.find((family) => family === name);
  if (plain) return presetConfig(plain, "coco");
  const family = DETR_PRESET_NAMES.find((family) => `${family}-fdr` === name)!;
  const { model, ...config } = presetConfig(family, "coco");
  if (model.architecture !== "detr") throw new Error(`${family} is no DETR`);
  return {
    ...config,
    model: { ...model, decoder: { ...model.decoder, boxHead: "distribution" } },
    criterion: detrCriterion(family, { fdr: true, goLsd: true }),
  };
}
