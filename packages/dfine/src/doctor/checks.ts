import type { Check } from "./check.ts";
import { BOX_CHECKS } from "./checks/boxChecks.ts";
import { CLASS_CHECKS } from "./checks/classChecks.ts";
import { IMAGE_CHECKS } from "./checks/imageChecks.ts";
import { RECORD_CHECKS } from "./checks/recordChecks.ts";

/** The kinds of fault, in the order in which they are mended: what a later one rests on comes first. */
export const CHECKS: readonly Check[] = [...RECORD_CHECKS, ...IMAGE_CHECKS, ...CLASS_CHECKS, ...BOX_CHECKS];
