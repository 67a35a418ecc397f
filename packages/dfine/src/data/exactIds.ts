import type { Reviver } from "./readJson.ts";

const LARGE_ID = /id"\s*:\s*-?\d{16}/;

/** Whether a JSON text has ids that a number may not hold. */
export const hasLargeIds = (text: string): boolean => LARGE_ID.test(text);

/** Whole numbers under "id", "image_id", … that a number cannot hold, as bigints. */
export const exactIds: Reviver = (key, value, context) =>
  key.endsWith("id") && Number.isInteger(value) && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "")
    ? BigInt(context!.source!)
    : value;
