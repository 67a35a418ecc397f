import type { Pack } from "./pack.ts";
import { float64Target, type Target } from "./target.ts";

/** One number of a unit check: how far off, and where the README allows something else than the target's allowance, what. */
export interface Measure {
  readonly name: string;
  readonly error: number;
  readonly allowed?: number;
}

/** Checks of one of the pack's unit files. */
export interface Unit {
  /** Path in the pack; without it the unit is left out. */
  readonly file: string;
  /** Host code is checked once, tensors on every target. */
  readonly on: "host" | "tensors";
  run(pack: Pack, target: Target): Promise<readonly Measure[]> | readonly Measure[];
}

export const unitName = (unit: Unit): string => unit.file.replace(/\.json$/, "");

/** Stands for the target in units of host code, which computes in double precision. */
export const host = (): Target => ({ ...float64Target(), label: "host" });
