import { DFINE_PRESET_NAMES } from "../packages/dfine/src/config/config.ts";
import { checkCheckpoints } from "./checkpoints.ts";
import { checkDetrEval } from "./detrEval.ts";
import { checkDetrStart } from "./detrStart.ts";
import { checkDetrStructure } from "./detrStructure.ts";
import { checkDetrTrain } from "./detrTrain.ts";
import { checkEval } from "./eval.ts";
import { checkEvaluation } from "./evaluation.ts";
import { checkOptim } from "./optim.ts";
import { Pack, PackError } from "./pack.ts";
import { DETR_NAMES, type PACK_PRESETS } from "./presets.ts";
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
  readonly presets: readonly PackPreset[];
  readonly families: readonly Family[];
  readonly backend: BackendName;
  readonly threads?: number | undefined;
  /** False without the formulas in float64, whose numbers are the same beside every backend. Default: true. */
  readonly exact?: boolean;
  /** How many of the optimiser's steps are done in float64. Default: all. */
  readonly exactSteps?: number;
  /** Told each check as it is done. */
  readonly onCheck?: (check: Check) => void;
}

type PackPreset = (typeof PACK_PRESETS)[number];

/** The presets whose training also runs in float64. */
const EXACT: readonly PackPreset[] = ["n", "dn-detr-fdr"];

/** A check of one preset. */
interface PresetCheck {
  readonly family: Family;
  readonly name: string;
  /** Whether it may run in float64 too. */
  readonly exactly?: boolean;
  readonly check: (pack: Pack, report: Report, target: Target) => void | Promise<void>;
}

/** What there is to check of a preset, in order; a pack may lack files of it. */
function checksOf(preset: PackPreset, { exactSteps }: ParityOptions): readonly PresetCheck[] {
  const detr = DETR_NAMES.find((name) => name === preset);
  if (detr)
    return [
      {
        ...{ family: "eval", name: "structure" },
        check: (pack, report, target) => checkDetrStructure(pack, report, { preset: detr, target }),
      },
      {
        ...{ family: "eval", name: "start" },
        check: (pack, report, target) => checkDetrStart(pack, report, { preset: detr, target }),
      },
      {
        ...{ family: "eval", name: "eval" },
        check: (pack, report, target) => checkDetrEval(pack, report, { preset: detr, target }),
      },
      {
        ...{ family: "train", name: "train", exactly: true },
        check: (pack, report, target) => checkDetrTrain(pack, report, { preset: detr, target }),
      },
    ];
  const size = DFINE_PRESET_NAMES.find((name) => name === preset)!;
  type DFineCheck = typeof checkTrain | typeof checkStructure | typeof checkOptim;
  const of = (check: DFineCheck) => (pack: Pack, report: Report, target: Target) =>
    check(pack, report, { preset: size, target, exactSteps });
  return [
    { family: "eval", name: "structure", check: of(checkStructure) },
    { family: "eval", name: "eval", check: of(checkEval) },
    { family: "checkpoints", name: "checkpoints", check: of(checkCheckpoints) },
    { family: "train", name: "train", exactly: true, check: of(checkTrain) },
    { family: "optim", name: "optim", exactly: true, check: of(checkOptim) },
  ];
}

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
    const targets = EXACT.includes(preset) ? [single, ...exact] : [single];
    for (const { family, name, exactly = false, check } of checksOf(preset, options))
      if (wants(family))
        for (const target of exactly ? targets : [single])
          await attempt(report, `${name}/${preset}`, () => check(pack, report, target));
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
