import { type Config, DETR_PRESET_NAMES, DFINE_PRESET_NAMES } from "../packages/dfine/src/config/config.ts";
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
  const family = DETR_PRESET_NAMES.find((family) => name === family || name === `${family}-fdr`)!;
  const isFdr = name !== family;
  return presetConfig(family, "coco", "official", { fdr: isFdr, goLsd: isFdr });
}
