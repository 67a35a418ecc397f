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

/** A unit whose file lists cases; their numbers come before the names of their measures. */
export const perCase = <Case>({
  measures,
  ...unit
}: Pick<Unit, "file" | "on"> & {
  readonly measures: (unit: Case, target: Target) => Promise<readonly Measure[]> | readonly Measure[];
}): Unit => ({
  ...unit,
  async run(pack, target) {
    const all: Measure[] = [];
    for (const [i, given] of pack.json<Case[]>(unit.file).entries())
      for (const measure of await measures(given, target)) all.push({ ...measure, name: `${i} ${measure.name}` });
    return all;
  },
});

export const unitName = (unit: Unit): string => unit.file.replace(/\.json$/, "");

/** Stands for the target in units of host code, which computes in double precision. */
export const host = (): Target => ({ ...float64Target(), label: "host" });
