import { keep, noGrad, readResults, type Tensor, type TypedArray, tensor } from "@dfine/tensor";
import { toTensorData } from "../packages/dfine/src/data/image.ts";
import type { Detector } from "../packages/dfine/src/model/detector.ts";
import { postprocess } from "../packages/dfine/src/postprocess.ts";
import { absoluteError } from "./compare.ts";
import { compareDetections } from "./detections.ts";
import { proceduralDetector } from "./model.ts";
import type { Pack, PackTensors } from "./pack.ts";
import { type DetrName, detrConfigOf } from "./presets.ts";
import { detrFill } from "./procedural.ts";
import type { Report } from "./report.ts";
import { onTarget, type Target } from "./target.ts";

interface DetrEvalPack {
  readonly image: string;
  readonly orig_size_hw: readonly [number, number];
  readonly salt: string;
  readonly allowed: Readonly<
    Record<
      "pred_logits" | "pred_boxes" | "layers" | "post.scores" | "samples_relative_to_std" | "decoder_relative_to_std",
      number
    >
  >;
  /** Only where queries are chosen among tokens. */
  readonly allowed_free_selection?: { readonly selection_rows_different: number };
}

/** What a forward pass gave, by the pack's names. */
type Seen = ReadonlyMap<string, TypedArray>;

/** Names that the pack gives what the model calls otherwise. */
const RENAMED: Readonly<Record<string, string>> = {
  ...{ "tokens.logits": "enc.logits", "tokens.boxes": "enc.boxes" },
  ...{ "chosen.logits": "interm.logits", "chosen.boxes": "interm.boxes" },
};

/** Predictions of every layer and what was seen on the way, read back. */
async function predict(model: Detector, images: Tensor, selection: Tensor | undefined): Promise<Seen> {
  const found = new Map<string, Tensor>();
  const see = (name: string, value: Tensor | undefined) =>
    value && found.set(RENAMED[name] ?? name, keep(value.alias()));
  const arrays = await readResults(images.backend, () =>
    noGrad(() => {
      const { earlier = [], ...last } = model.predictions(images, { tap: see, everyLayer: true, selection });
      for (const [i, set] of earlier.entries()) {
        see(`aux_${i}.logits`, set.logits);
        see(`aux_${i}.boxes`, set.boxes);
      }
      see("pred_logits", last.logits);
      see("pred_boxes", last.boxes);
      see("initial", last.refPoints);
      for (const [i, { corners }] of [...earlier, last].entries()) see(`corners.${i}`, corners);
      return [...found.values()];
    }),
  );
  for (const value of found.values()) value.dispose();
  return new Map([...found.keys()].map((name, i) => [name, arrays[i]!]));
}

/** Largest difference of stored samples, in standard deviations or absolute. */
export function sampleError(
  ours: TypedArray | undefined,
  tensors: PackTensors,
  name: string,
  isAbsolute: boolean,
): number {
  const { index, values, std } = tensors.samples(name);
  const found = Array.from(index, (flat) => ours?.[flat] ?? Number.NaN);
  return absoluteError(found, values) / (isAbsolute ? 1 : std);
}

/** The pack's names of backbone maps count stages or maps; ours count maps. */
export function backboneNames(tensors: PackTensors): ReadonlyMap<string, string> {
  return new Map(tensors.sampled("backbone.").map((name, i) => [name, `backbone.${i}`]));
}

/** The network input of one image [1, 3, H, W]. */
export async function packImage(pack: Pack, file: string): Promise<Tensor> {
  const image = await pack.picture(file);
  const data = new Float32Array(3 * image.width * image.height);
  toTensorData(image, data, { offset: 0 });
  return tensor(data, [1, 3, image.height, image.width]);
}

/** Tokens that only one side chose, or that have another rank where ranks count. */
export function differentChoices(ours: ArrayLike<number>, theirs: Int32Array, byRank: boolean): number {
  if (byRank) return theirs.filter((token, rank) => ours[rank] !== token).length;
  const chosen = new Set(Array.from(ours));
  return theirs.filter((token) => !chosen.has(token)).length;
}

/** Checks one DETR's evaluation form and its detections, with the pack's choice of queries; its own choice apart. */
export async function checkDetrEval(
  pack: Pack,
  report: Report,
  { preset, target }: { preset: DetrName; target: Target },
): Promise<void> {
  const path = `eval/${preset}`;
  if (!pack.has(`${path}.json`)) return;
  const meta = pack.json<DetrEvalPack>(`${path}.json`);
  const tensors = pack.tensors(`${path}.safetensors`);
  const { allowed } = meta;
  const check = (name: string, error: number, allowance: number) =>
    report.compare(`${path} ${name} (${target.label})`, error, allowance);
  const { model: config } = detrConfigOf(preset);

  await onTarget(target, async () => {
    using model = proceduralDetector(config, detrFill(meta.salt)).eval();
    const images = await packImage(pack, meta.image);
    const chosen = tensors.has("topk_index") ? tensors.integers("topk_index") : undefined;
    const seen = await predict(model, images, chosen && tensor(chosen, [1, chosen.length]));
    if (chosen) {
      const different = differentChoices(seen.get("topk_index")!, chosen, tensors.has("interm.logits.value"));
      check("tokens chosen otherwise", different, meta.allowed_free_selection!.selection_rows_different);
    }
    for (const name of ["pred_logits", "pred_boxes"] as const)
      check(name, absoluteError(seen.get(name)!, tensors.floats(name).values), allowed[name]);
    const compare = (allowance: keyof typeof allowed, ...prefixes: readonly string[]): void => {
      const names = backboneNames(tensors);
      for (const name of tensors.sampled(...prefixes))
        check(
          name,
          sampleError(seen.get(names.get(name) ?? name), tensors, name, allowance === "layers"),
          allowed[allowance],
        );
    };
    compare("samples_relative_to_std", "backbone.", "position.", "input_proj.", "encoder.");
    compare("decoder_relative_to_std", "decoder.");
    compare("layers", "aux_", "enc.", "interm.", "pre.", "initial", "corners.");

    const [height, width] = meta.orig_size_hw;
    const [logits, boxes] = [seen.get("pred_logits"), seen.get("pred_boxes")] as [Float32Array, Float32Array];
    const found = postprocess({ logits, boxes, numQueries: boxes.length / 4 }, [[width, height]], {
      numTopQueries: config.numTopQueries,
    })[0]!;
    const expected = {
      labels: tensors.integers("post.labels"),
      boxes: tensors.floats("post.boxes").values,
      scores: tensors.floats("post.scores").values,
    };
    const detections = compareDetections(found, expected, {
      ...{ size: [width, height], box: 2 * allowed.pred_boxes, score: allowed["post.scores"], leftOut: [] },
    });
    check(
      "detections without partner",
      detections.unpaired + Math.abs(found.scores.length - expected.scores.length),
      0,
    );
    check("post.scores", detections.score, allowed["post.scores"]);
    check("post.boxes per side", detections.box, 2 * allowed.pred_boxes);
  });
}
