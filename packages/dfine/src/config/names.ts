/** Sizes of D-FINE, smallest first. */
export const PRESET_NAMES = ["n", "s", "m", "l", "x"] as const;
/** What is trained for, each with recipes of its own: COCO, Objects365, COCO or own data after Objects365, own data, … */
export const TASK_NAMES = ["coco", "objects365", "obj2coco", "custom", "obj2custom", "crowdhuman", "voc"] as const;
/** Whose numbers of epochs: those of the official configurations, or the paper's. */
export const RECIPE_NAMES = ["official", "paper"] as const;
/** One of `PRESET_NAMES`. */
export type PresetName = (typeof PRESET_NAMES)[number];
/** One of `TASK_NAMES`. */
export type TaskName = (typeof TASK_NAMES)[number];
/** One of `RECIPE_NAMES`. */
export type RecipeName = (typeof RECIPE_NAMES)[number];
