import { keep, noGrad, readResults, type Tensor } from "@dfine/tensor";
import { COCO_CATEGORY_IDS } from "../packages/dfine/src/config/cocoClasses.ts";
import type { DFinePresetName } from "../packages/dfine/src/config/config.ts";
import type { Detector } from "../packages/dfine/src/model/detector.ts";
import { postprocess } from "../packages/dfine/src/postprocess.ts";
import { compareDetections } from "./detections.ts";
import { packImages, proceduralModel } from "./model.ts";
import type { Pack, PackTensors } from "./pack.ts";
import { dfineFill } from "./procedural.ts";
import type { Report } from "./report.ts";
import { onTarget, type Target } from "./target.ts";

interface EvalPack {
  readonly image: string;
  readonly size: number;
  readonly orig_size_wh: readonly [number, number];
  readonly salt: string;
  readonly allowed: Readonly<Record<string, number>>;
}

type Floats = Float32Array | Float64Array;

/** A forward pass read back: predictions, and what was seen on the way. */
interface Pass {
  readonly logits: Floats;
  readonly boxes: Floats;
  readonly tapped: ReadonlyMap<string, Floats | Int32Array>;
}

async function predict(model: Detector, images: Tensor): Promise<Pass> {
  const tapped = new Map<string, Tensor>();
  const arrays = await readResults(images.backend, () => {
    const tap = (name: string, value: Tensor) => tapped.set(name, keep(value.alias()));
    const { logits, boxes } = noGrad(() => model.predictions(images, { tap }));
    return [logits, boxes, ...tapped.values()];
  });
  for (const value of tapped.values()) value.dispose();
  return {
    logits: arrays[0] as Floats,
    boxes: arrays[1] as Floats,
    tapped: new Map([...tapped.keys()].map((name, i) => [name, arrays[i + 2]!])),
  };
}

/** Our row of each of the pack's queries, by the token that it was made from; −1 where we did not choose it. */
function alignRows(ours: Floats | Int32Array, theirs: Int32Array): Int32Array {
  const rowOfToken = new Map([...ours].map((token, row) => [token, row]));
  return theirs.map((token) => rowOfToken.get(token) ?? -1);
}

/** Largest difference between rows that both sides have. */
function rowError(ours: Floats, theirs: Floats, rows: Int32Array): number {
  const width = theirs.length / rows.length;
  let worst = 0;
  rows.forEach((row, i) => {
    if (row < 0) return;
    for (let k = 0; k < width; k++) {
      const error = Math.abs(ours[row * width + k]! - theirs[i * width + k]!);
      worst = Math.max(worst, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error);
    }
  });
  return worst;
}

/** Largest difference of stored samples in standard deviations; with `rows`, samples lie in aligned rows. */
function sampleError(ours: ArrayLike<number>, tensors: PackTensors, name: string, rows?: Int32Array): number {
  const { index, values, std, shape } = tensors.samples(name);
  const width = shape.at(-1)!;
  let worst = 0;
  index.forEach((flat, i) => {
    const row = rows ? rows[Math.floor(flat / width)]! : 0;
    if (row < 0) return;
    const at = rows ? row * width + (flat % width) : flat;
    const error = Math.abs(ours[at]! - values[i]!) / std;
    worst = Math.max(worst, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error);
  });
  return worst;
}

/** Boxes, in pixels, of the pack's queries that we did not choose. */
function missingBoxes(boxes: Floats, rows: Int32Array, [width, height]: readonly [number, number]): number[][] {
  return [...rows.keys()].flatMap((i) => {
    if (rows[i]! >= 0) return [];
    const [cx, cy, w, h] = boxes.subarray(4 * i, 4 * i + 4) as unknown as [number, number, number, number];
    return [[(cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height]];
  });
}

/** Checks one preset's evaluation form, its deploy form and the detections. */
export async function checkEval(
  pack: Pack,
  report: Report,
  options: { preset: DFinePresetName; target: Target },
): Promise<void> {
  const { preset, target } = options;
  const path = `eval/${preset}`;
  if (!pack.has(`${path}.json`) || !pack.has(`models/${preset}.json`)) return;
  const meta = pack.json<EvalPack>(`${path}.json`);
  const { gains } = pack.json<{ gains: [number, number, number] }>(`models/${preset}.json`);
  const tensors = pack.tensors(`${path}.safetensors`);
  const { allowed } = meta;
  const check = (name: string, error: number, allowance: number) =>
    report.compare(`${path} ${name} (${target.label})`, error, allowance);

  await onTarget(target, async () => {
    using model = proceduralModel(preset, dfineFill({ salt: meta.salt, gains, train: false })).eval();
    const images = await packImages(pack, [meta.image], meta.size);
    const topk = tensors.integers("topk_index");
    const alignedPass = async (form: Detector): Promise<Pass & { rows: Int32Array }> => {
      const pass = await predict(form, images);
      return { ...pass, rows: alignRows(pass.tapped.get("topk_index") as Int32Array, topk) };
    };

    const plain = await alignedPass(model);
    check("topk rows missing", plain.rows.filter((row) => row < 0).length, allowed.topk_missing_rows!);
    for (const name of ["pred_logits", "pred_boxes"] as const) {
      const ours = name === "pred_logits" ? plain.logits : plain.boxes;
      check(name, rowError(ours, tensors.floats(name).values, plain.rows), allowed[name]!);
    }
    for (const name of tensors.sampled("backbone.", "encoder.", "decoder.")) {
      const ours = plain.tapped.get(name) ?? [];
      const isDecoder = name.startsWith("decoder.");
      const error = sampleError(ours, tensors, name, isDecoder ? plain.rows : undefined);
      check(name, error, allowed[isDecoder ? "decoder_relative_to_std" : "samples_relative_to_std"]!);
    }

    const found = postprocess(
      { logits: plain.logits, boxes: plain.boxes, numQueries: topk.length },
      [meta.orig_size_wh],
      { numTopQueries: tensors.floats("post.scores").values.length },
    )[0]!;
    const detections = compareDetections(
      { ...found, labels: found.labels.map((label) => COCO_CATEGORY_IDS[label]!) },
      {
        labels: tensors.integers("post.labels"),
        boxes: tensors.floats("post.boxes").values,
        scores: tensors.floats("post.scores").values,
      },
      {
        size: meta.orig_size_wh,
        box: 2 * allowed.pred_boxes!,
        score: allowed["post.scores"]!,
        leftOut: missingBoxes(tensors.floats("pred_boxes").values, plain.rows, meta.orig_size_wh),
      },
    );
    check("post.labels without partner", detections.unpaired, 0);
    check("post.scores", detections.score, allowed["post.scores"]!);
    check("post.boxes per side", detections.box, 2 * allowed.pred_boxes!);

    using deployed = model.deploy();
    const fused = await alignedPass(deployed);
    check("deploy topk rows missing", fused.rows.filter((row) => row < 0).length, allowed.topk_missing_rows!);
    for (const name of ["deploy.pred_logits", "deploy.pred_boxes"] as const) {
      const ours = name === "deploy.pred_logits" ? fused.logits : fused.boxes;
      check(name, rowError(ours, tensors.floats(name).values, fused.rows), allowed[name]!);
    }
  });
}
