import { backward, type Tensor } from "@dfine/tensor";
import type { DFinePresetName } from "../packages/dfine/src/config/config.ts";
import { criterion } from "../packages/dfine/src/loss/criterion.ts";
import type { DFineModel } from "../packages/dfine/src/model/dfineModel.ts";
import type { TrainingOutputs } from "../packages/dfine/src/model/outputs.ts";
import { configOf, packImages, packTargets, proceduralModel, trainingForward, weightingOf } from "./model.ts";
import type { Pack } from "./pack.ts";
import { dfineFill } from "./procedural.ts";
import type { Report } from "./report.ts";
import { onTarget, type Target } from "./target.ts";
import { checkGradients, checkLosses, checkMatches, type Step, type TrainFacts } from "./trainChecks.ts";

interface TrainPack extends TrainFacts {
  readonly size: number;
  readonly num_denoising_queries: number;
  readonly dn_groups: number;
  readonly allowed: TrainFacts["allowed"] & { readonly float64_relative: number };
}
type DFineStep = Step<TrainPack>;

const BUFFER_ALLOWANCE = 1e-4;

/** Samples of what the model gave, in standard deviations of the whole tensor. */
async function checkOutputs({ meta, tensors, check }: DFineStep, outputs: TrainingOutputs): Promise<void> {
  const { last, enc, dn } = outputs;
  const sources = new Map<string, Tensor | undefined>([
    ["out.pred_logits", last.logits],
    ["out.pred_boxes", last.boxes],
    ["out.pred_corners", last.corners],
    ["out.ref_points", last.refPoints],
    ["enc.logits", enc[0]?.logits],
    ["enc.boxes", enc[0]?.boxes],
    ...(dn?.layers ?? []).flatMap((set, i): [string, Tensor][] => [
      [`dn.${i}.logits`, set.logits],
      [`dn.${i}.boxes`, set.boxes],
    ]),
  ]);
  let worst = 0;
  for (const name of tensors.sampled("out.", "enc.", "dn.")) {
    const data = await sources.get(name)?.data();
    const { index, values, std } = tensors.samples(name);
    const errors = Array.from(index, (flat, i) => Math.abs((data?.[flat] ?? Number.NaN) - values[i]!) / std);
    worst = Math.max(worst, ...errors);
  }
  check("samples of outputs", worst, meta.allowed.float64_relative);
}

async function checkBuffers({ tensors, exact, check }: DFineStep, model: DFineModel): Promise<void> {
  const state = model.stateDict();
  let worst = 0;
  for (const name of tensors.sampled("buffer_after.")) {
    const data = await state.get(name.replace("buffer_after.", ""))?.data();
    const { index, values } = tensors.samples(name);
    const largest = Math.max(...Array.from(values, Math.abs));
    for (const [i, flat] of index.entries()) {
      const error = Math.abs((data?.[flat] ?? Number.NaN) - values[i]!) / largest;
      worst = Math.max(worst, error);
    }
  }
  check("running statistics", worst, exact ?? BUFFER_ALLOWANCE);
}

/** Checks a training forward and backward pass; on a float64 target against the tighter allowance. */
export async function checkTrain(
  pack: Pack,
  report: Report,
  options: { preset: DFinePresetName; target: Target },
): Promise<void> {
  const { preset, target } = options;
  const path = `train/${preset}`;
  if (!pack.has(`${path}.json`)) return;
  const meta = pack.json<TrainPack>(`${path}.json`);
  const tensors = pack.tensors(`${path}.safetensors`);
  const exact = target.backend.floatBits === 64 ? meta.allowed.float64_relative : undefined;
  const check: DFineStep["check"] = (name, error, allowed) =>
    report.compare(`${path} ${name} (${target.label})`, error, allowed);
  const step: DFineStep = { meta, tensors, exact, check };
  await onTarget(target, async (flow) => {
    using model = proceduralModel(preset, dfineFill({ salt: meta.salt, gains: [1, 1, 1], train: true }));
    const targets = packTargets(tensors, meta.images.length);
    const images = await packImages(pack, meta.images, meta.size);
    const config = configOf(preset);
    const outputs = flow.run(() => trainingForward(model, images, { targets, salt: meta.salt }));
    const { dn } = outputs;
    check("denoising queries", Math.abs((dn?.layers[0]?.boxes.shape[1] ?? 0) - meta.num_denoising_queries), 0);
    check("denoising groups", Math.abs((dn?.groups ?? 0) - meta.dn_groups), 0);
    if (exact !== undefined) await checkOutputs(step, outputs);
    await checkBuffers(step, model);
    const result = await criterion(outputs, targets, {
      config: config.criterion,
      weighting: weightingOf(config.model.decoder),
      scope: flow,
    });
    await checkLosses(step, result);
    checkMatches(step, result, "go");
    flow.run(() => backward(result.total));
    await checkGradients(step, model);
  });
}
