import { backward, keep, readResults, type Scope, type Tensor, type TypedArray, tensor } from "@dfine/tensor";
import { criterion } from "../packages/dfine/src/loss/criterion.ts";
import type { MatchTargets } from "../packages/dfine/src/loss/matches.ts";
import type { Detector } from "../packages/dfine/src/model/detector.ts";
import type { PredictionSet, TrainingOutputs } from "../packages/dfine/src/model/outputs.ts";
import { absoluteError } from "./compare.ts";
import { backboneNames, differentChoices, sampleError } from "./detrEval.ts";
import { packTargets, proceduralDetector } from "./model.ts";
import type { Pack, PackTensors } from "./pack.ts";
import { type DetrName, detrConfigOf } from "./presets.ts";
import { detrFill, proceduralDraws } from "./procedural.ts";
import type { Report } from "./report.ts";
import { onTarget, type Target } from "./target.ts";
import { checkGradients, checkLosses, checkMatches, type Step, type TrainFacts } from "./trainChecks.ts";

interface DetrTrainPack extends TrainFacts {
  readonly image_sizes_hw: readonly (readonly [number, number])[];
  readonly padded_hw: readonly [number, number];
  /** Absent where there are no denoising queries. */
  readonly denoising?: { readonly groups: number; readonly queries: number };
  readonly float64_relative: number;
  readonly allowed: TrainFacts["allowed"] &
    Readonly<Record<"samples_relative_to_std" | "out_logits" | "out_boxes", number>> & {
      readonly out_corners?: number;
    };
  readonly allowed_free_selection?: { readonly selection_rows_different: number };
}

type Named = readonly [name: string, tensor: Tensor | undefined];

/** What a forward pass gave, by the pack's names, and what the criterion judges. */
interface Forward {
  readonly seen: ReadonlyMap<string, Tensor>;
  readonly outputs: TrainingOutputs;
}

/** The pack's images [B, 3, H, W] / 255 in double precision, padded at the right and at the bottom. */
async function packBatch(pack: Pack, { images, padded_hw: [height, width] }: DetrTrainPack): Promise<Tensor> {
  const data = new Float64Array(images.length * 3 * height * width);
  for (const [b, file] of images.entries()) {
    const image = await pack.picture(file);
    image.data.forEach((value, i) => {
      const [channel, pixel] = [i % 3, Math.floor(i / 3)];
      const [x, y] = [pixel % image.width, Math.floor(pixel / image.width)];
      data[((3 * b + channel) * height + y) * width + x] = value / 255;
    });
  }
  return tensor(data, [images.length, 3, height, width]);
}

/** Predictions of a step under the pack's names. */
function predictionsOf({ last, aux, pre, enc, tokens, dn }: TrainingOutputs): Named[] {
  const of = (name: string, set: PredictionSet | undefined): Named[] => [
    [`${name}.logits`, set?.logits],
    [`${name}.boxes`, set?.boxes],
  ];
  return [
    ["out.pred_logits", last.logits],
    ["out.pred_boxes", last.boxes],
    ["initial", last.refPoints],
    ["pre.boxes", pre?.boxes],
    ["dn.pre.boxes", dn?.pre?.boxes],
    ...[...aux, last].map(({ corners }, i): Named => [`corners.${i}`, corners]),
    ...aux.flatMap((set, i) => of(`aux_${i}`, set)),
    ...of("interm", enc[0]),
    ...of("enc", tokens),
    ...(dn?.layers ?? []).flatMap((set, i) => [...of(`dn.${i}`, set), [`dn.${i}.corners`, set.corners] as Named]),
  ];
}

function forward(
  model: Detector,
  images: Tensor,
  {
    meta,
    targets,
    selection,
  }: { meta: DetrTrainPack; targets: readonly MatchTargets[]; selection: Tensor | undefined },
): Forward {
  const seen = new Map<string, Tensor>();
  const denoising = model.denoisingQueries(targets, proceduralDraws(meta.salt));
  const tap = (name: string, value: Tensor) => void seen.set(name, keep(value.detach()));
  const outputs = model.trainingOutputs(images, { denoising, selection, validSizes: meta.image_sizes_hw, tap });
  for (const [name, value] of predictionsOf(outputs)) if (value) seen.set(name, keep(value.detach()));
  return { seen, outputs };
}

/** What the model gave on the way and in the end, by the kind of each stored tensor. */
function checkSamples(
  { meta, tensors, exact, check }: Step<DetrTrainPack>,
  seen: ReadonlyMap<string, TypedArray>,
): void {
  const { allowed } = meta;
  const kinds: Readonly<Record<string, number | undefined>> = {
    ...{ logits: allowed.out_logits, pred_logits: allowed.out_logits, corners: allowed.out_corners },
    ...{ boxes: allowed.out_boxes, pred_boxes: allowed.out_boxes, initial: allowed.out_boxes },
  };
  const names = backboneNames(tensors);
  const worst = new Map<string, { error: number; allowance: number }>();
  for (const name of tensors.sampled(...PREFIXES)) {
    const kind = name.split(".").find((part) => kinds[part] !== undefined);
    const error = sampleError(seen.get(names.get(name) ?? name), tensors, name, kind !== undefined);
    const group = kind?.replace("pred_", "") ?? name.replace(/\.\d+$/, "");
    const allowance = exact ?? kinds[kind ?? ""] ?? allowed.samples_relative_to_std;
    worst.set(group, { error: Math.max(error, worst.get(group)?.error ?? 0), allowance });
  }
  for (const [group, { error, allowance }] of worst) check(`samples of ${group}`, error, allowance);
}

const PREFIXES = ["backbone.", "position.", "input_proj.", "encoder.", "decoder."].concat([
  "aux_",
  "enc.",
  "interm.",
  "pre.",
  "initial",
  "corners.",
  "dn.",
  "out.",
]);

async function readAll(seen: ReadonlyMap<string, Tensor>, { backend }: Target): Promise<Map<string, TypedArray>> {
  const arrays = await readResults(backend, () => [...seen.values()]);
  for (const value of seen.values()) value.dispose();
  return new Map([...seen.keys()].map((name, i) => [name, arrays[i]!]));
}

/** Checks a training forward and backward pass of a DETR, with the pack's choice of queries; its own choice apart. */
export async function checkDetrTrain(
  pack: Pack,
  report: Report,
  { preset, target }: { preset: DetrName; target: Target },
): Promise<void> {
  const path = `train/${preset}`;
  if (!pack.has(`${path}.json`)) return;
  const meta = pack.json<DetrTrainPack>(`${path}.json`);
  const tensors: PackTensors = pack.tensors(`${path}.safetensors`);
  const exact = target.backend.floatBits === 64 ? meta.float64_relative : undefined;
  const check: Step["check"] = (name, error, allowed) =>
    report.compare(`${path} ${name} (${target.label})`, error, allowed);
  const step = { meta, tensors, exact, check };
  const config = detrConfigOf(preset);
  await onTarget(target, async (flow: Scope) => {
    using model = proceduralDetector(config.model, detrFill(meta.salt));
    const targets = packTargets(tensors, meta.images.length);
    const images = await packBatch(pack, meta);
    const chosen = tensors.has("topk_index") ? tensors.integers("topk_index") : undefined;
    const selection = chosen && tensor(chosen, [targets.length, chosen.length / targets.length]);
    const { seen, outputs } = flow.run(() => forward(model, images, { meta, targets, selection }));
    const { dn } = outputs;
    const sizes = [dn?.layers[0]?.boxes.shape[1] ?? 0, dn?.groups ?? 0];
    check("denoising", absoluteError(sizes, [meta.denoising?.queries ?? 0, meta.denoising?.groups ?? 0]), 0);
    const values = await readAll(seen, target);
    if (chosen) {
      const different = differentChoices(values.get("topk_index")!, chosen, tensors.has("interm.logits.value"));
      check("tokens chosen otherwise", different, meta.allowed_free_selection!.selection_rows_different);
    }
    checkSamples(step, values);
    const result = await criterion(outputs, targets, {
      ...{ config: config.criterion, weighting: model.weighting, scope: flow },
    });
    await checkLosses(step, result);
    checkMatches(step, result, "match.go");
    flow.run(() => backward(result.total));
    await checkGradients(step, model);
  });
}
