import * as z from "zod";

/** Whole numbers from 0, whole numbers from 1, numbers from 0, and numbers from 0 to 1, as configurations have them. */
export const count = z.int().min(0);
export const size = z.int().min(1);
export const rate = z.number().min(0);
export const share = z.number().min(0).max(1);
