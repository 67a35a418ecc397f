import { readNamed } from "@dfine/nn";
import { loadCheckpoint } from "../packages/dfine/src/checkpoint/fit.ts";
import { huggingFaceNames, officialName, PROJECTIONS } from "../packages/dfine/src/checkpoint/huggingFaceNames.ts";
import { classCount, presetOf } from "../packages/dfine/src/checkpoint/identify.ts";
import { onPaper } from "../packages/dfine/src/checkpoint/onPaper.ts";
import { type Checkpoint, openCheckpoint } from "../packages/dfine/src/checkpoint/open.ts";
import type { DFinePresetName } from "../packages/dfine/src/config/config.ts";
import { presetConfig } from "../packages/dfine/src/config/presets.ts";
import { buildDetector } from "../packages/dfine/src/model/architectures.ts";
import { configOf } from "./model.ts";
import type { Pack } from "./pack.ts";
import { dfineFill, proceduralValues } from "./procedural.ts";
import type { Report } from "./report.ts";
import { onTarget, type Target } from "./target.ts";

interface ModelPack {
  readonly salt: string;
  readonly gains: readonly [number, number, number];
  readonly params_train: number;
  readonly state_dict: readonly (readonly [name: string, shape: readonly number[], dtype: string])[];
}

/** Files of the pack's checkpoints, and the sets of weights in each with the salt of their numbers. */
const FILES = [
  {
    file: "official.pth",
    sets: [
      { ema: true, prefix: "ema:" },
      { ema: false, prefix: "" },
    ],
  },
  { file: "huggingface.safetensors", sets: [{ ema: undefined, prefix: "" }] },
] as const;

/** Names, preset and parameters of the pack's listing, and the checkpoints that there are of the preset. */
export async function checkCheckpoints(
  pack: Pack,
  report: Report,
  options: { preset: DFinePresetName; target: Target },
): Promise<void> {
  const { preset, target } = options;
  const listing = `models/${preset}.json`;
  if (!pack.has(listing)) return;
  const model = pack.json<ModelPack>(listing);
  checkNames(model, report, preset);
  for (const { file, sets } of FILES) {
    const path = `checkpoints/dfine_${preset}_${file}`;
    if (!pack.has(path)) continue;
    for (const { ema, prefix } of sets) {
      const checkpoint = openCheckpoint(pack.bytes(path), { file: path, ema });
      const name = `${path}${ema === undefined ? "" : ema ? " ema" : " model"}`;
      report.compare(`${name}: preset`, checkpoint.preset === preset ? 0 : 1, 0);
      const wrong = await onTarget(target, () => wrongTensors(checkpoint, { ...model, prefix }));
      report.compare(`${name}: tensors not bit-equal (${target.label})`, wrong, 0);
    }
  }
}

/** Official names to Hugging Face's and back, and what shapes alone tell. */
function checkNames(model: ModelPack, report: Report, preset: DFinePresetName): void {
  const names = model.state_dict.map(([name]) => name);
  const there = names.flatMap((name) => huggingFaceNames(name) ?? []);
  const back = (name: string): boolean =>
    huggingFaceNames(name)?.every((translated, part, all) => {
      const found = officialName(translated);
      return found?.name === name && found.part === (all.length === PROJECTIONS.length ? part : undefined);
    }) ?? false;
  const check = (what: string, error: number) => report.compare(`checkpoints ${preset}: ${what}`, Math.abs(error), 0);
  check("names that do not come back", names.filter((name) => !back(name)).length);
  check("names that fall together", there.length - new Set(there).size);
  const file = `models/${preset}.json`;
  const entries = new Map(
    model.state_dict.map(([name, shape]) => [
      name,
      { name, shape, file, dtype: "F32", bytes: new Uint8Array() } as const,
    ]),
  );
  check("preset from shapes", presetOf(entries, file) === preset ? 0 : 1);
  check("classes from shapes", classCount(entries, { preset, file }) - configOf(preset).model.classes.length);
  check("parameters", onPaper(configOf(preset).model, (detector) => detector.parameterCount()) - model.params_train);
}

/** Tensors of a loaded model that are not, bit by bit, the procedural numbers or else the model's own. */
async function wrongTensors(checkpoint: Checkpoint, pack: ModelPack & { readonly prefix: string }): Promise<number> {
  using model = buildDetector(checkpoint.model);
  using fresh = buildDetector(presetConfig(checkpoint.preset, "coco").model);
  await loadCheckpoint(model, checkpoint);
  const own = await readNamed(fresh.stateDict());
  const loaded = await readNamed(model.stateDict());
  const wrongWith = (salt: string): number => {
    const rules = dfineFill({ salt, gains: pack.gains, train: false });
    return pack.state_dict.filter(([name, shape, dtype]) => {
      const values = proceduralValues({ name, shape, dtype }, rules);
      const expected = values === "keep" ? own.get(name)?.data : values;
      const found = loaded.get(name);
      return !found || !expected || found.shape.join() !== shape.join() || !sameBits(found.data, expected);
    }).length;
  };
  const { salt, prefix } = pack;
  // A pack with a salt of its own may put it before or after the prefix of the average.
  return Math.min(...[...new Set([salt + prefix, prefix + salt])].map(wrongWith));
}

function sameBits(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return false;
  return true;
}
