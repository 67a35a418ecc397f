/** Sizes of D-FINE, smallest first. */
export const DFINE_PRESET_NAMES = ["n", "s", "m", "l", "x"] as const;
/** Other DETRs, those of the paper's Table 2. */
export const DETR_PRESET_NAMES = ["deformable-detr-plain", "deformable-detr", "dab-detr", "dn-detr", "dino"] as const;
/** Sizes of D-FINE, smallest first, and other DETRs. */
export const PRESET_NAMES = [...DFINE_PRESET_NAMES, ...DETR_PRESET_NAMES] as const;
/** What is trained for, each with recipes of its own: COCO, Objects365, COCO or own data after Objects365, own data, … */
export const TASK_NAMES = ["coco", "objects365", "obj2coco", "custom", "obj2custom", "crowdhuman", "voc"] as const;
/** Whose numbers of epochs: those of the official configurations, the paper's, or its longer ones of other DETRs. */
export const RECIPE_NAMES = ["official", "paper", "paper24"] as const;
/** One of `DFINE_PRESET_NAMES`. */
export type DFinePresetName = (typeof DFINE_PRESET_NAMES)[number];
/** One of `DETR_PRESET_NAMES`. */
export type DetrPresetName = (typeof DETR_PRESET_NAMES)[number];
/** One of `PRESET_NAMES`. */
export type PresetName = (typeof PRESET_NAMES)[number];
/** One of `TASK_NAMES`. */
export type TaskName = (typeof TASK_NAMES)[number];
/** One of `RECIPE_NAMES`. */
export type RecipeName = (typeof RECIPE_NAMES)[number];

/** What a preset is called beside others' detectors. */
export const titleOf = (preset: PresetName): string =>
  DFINE_PRESET_NAMES.some((size) => size === preset) ? `D-FINE-${preset.toUpperCase()}` : preset;
