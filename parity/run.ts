import type { PresetName } from "../packages/dfine/src/config/config.ts";
import { checkCheckpoints } from "./checkpoints.ts";
import { checkEval } from "./eval.ts";
import { checkEvaluation } from "./evaluation.ts";
import { checkOptim } from "./optim.ts";
import { Pack, PackError } from "./pack.ts";
import { type Check, Report } from "./report.ts";
import { checkStructure } from "./structure.ts";
import { type BackendName, float32Target, float64Target, type Target } from "./target.ts";
import { checkTrain } from "./train.ts";
import { checkUnits } from "./units.ts";

export const FAMILIES = ["units", "eval", "train", "optim", "evaluation", "checkpoints"] as const;
export type Family = (typeof FAMILIES)[number];

export interface ParityOptions {
  /** Folder of the pack. */
  readonly reference: string;
  readonly presets: readonly PresetName[];
  readonly families: readonly Family[];
  readonly backend: BackendName;
  readonly threads?: number | undefined;
  /** False without the formulas in float64, whose numbers are the same beside every backend. Default: true. */
  readonly exact?: boolean;
  /** Told each check as it is done. */
  readonly onCheck?: (check: Check) => void;
}

/** The preset whose training also runs in float64. */
const EXACT: PresetName = "n";

/** Runs every check of the wanted families for which the pack has files. @throws PackError when there is no such pack */
export async function runParity(options: ParityOptions): Promise<Report> {
  const pack = new Pack(options.reference);
  if (!pack.has(".")) throw new PackError(`${options.reference}: there is no such folder; give one with --reference`);
  const report = new Report(options.onCheck);
  const wants = (family: Family): boolean => options.families.includes(family);
  const single = await float32Target(options.backend, options.threads);
  const exact = options.exact === false ? [] : [float64Target()];
  if (wants("units")) await attempt(report, "units", () => checkUnits(pack, report, [single, ...exact]));
  for (const preset of options.presets) {
    const targets: readonly Target[] = preset === EXACT ? [single, ...exact] : [single];
    if (wants("eval")) {
      await attempt(report, `structure of ${preset}`, () => checkStructure(pack, report, { preset, target: single }));
      await attempt(report, `eval/${preset}`, () => checkEval(pack, report, { preset, target: single }));
    }
    if (wants("checkpoints"))
      await attempt(report, `checkpoints of ${preset}`, () =>
        checkCheckpoints(pack, report, { preset, target: single }),
      );
    for (const [family, check] of [
      ["train", checkTrain],
      ["optim", checkOptim],
    ] as const)
      if (wants(family))
        for (const target of targets)
          await attempt(report, `${family}/${preset}`, () => check(pack, report, { preset, target }));
  }
  if (wants("evaluation")) await attempt(report, "evaluation", () => checkEvaluation(pack, report));
  for (const { backend } of [single, ...exact]) backend.dispose();
  return report;
}

/** A check that throws has failed; the others still run. */
async function attempt(report: Report, name: string, body: () => void | Promise<void>): Promise<void> {
  try {
    await body();
  } catch (error) {
    report.fail(name, error instanceof Error ? error.message : String(error));
  }
}
