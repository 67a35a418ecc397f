import { detrCriterionUnits } from "./detrCriterion.ts";
import { detrImages } from "./detrImages.ts";
import { detrModelUnits } from "./detrModelUnits.ts";
import { detrUnits } from "./detrUnits.ts";
import { hostUnits } from "./hostUnits.ts";
import { imageOps } from "./imageOps.ts";
import { lossUnits } from "./lossUnits.ts";
import type { Pack } from "./pack.ts";
import type { Report } from "./report.ts";
import { onTarget, type Target } from "./target.ts";
import { tensorUnits } from "./tensorUnits.ts";
import { host, type Unit, unitName } from "./unit.ts";

const UNITS: readonly Unit[] = [
  ...hostUnits,
  imageOps,
  ...tensorUnits,
  lossUnits,
  ...detrUnits,
  ...detrModelUnits,
  ...detrCriterionUnits,
  ...detrImages,
];

/** Checks every unit file that the pack has: host code once, tensors on each target. */
export async function checkUnits(pack: Pack, report: Report, targets: readonly Target[]): Promise<void> {
  for (const unit of UNITS.filter(({ file }) => pack.has(file)))
    for (const target of unit.on === "host" ? [host()] : targets) {
      const measures = await onTarget(target, () => unit.run(pack, target));
      for (const { name, error, allowed = target.unitAllowance } of measures)
        report.compare(`${unitName(unit)} ${name} (${target.label})`, error, allowed);
    }
}
