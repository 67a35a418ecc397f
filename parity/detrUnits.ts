import type { Tensor } from "@dfine/tensor";
import { boxGiou } from "../packages/dfine/src/loss/boxOverlap.ts";
import { DENOISERS } from "../packages/dfine/src/model/denoisers.ts";
import { denoisingMask } from "../packages/dfine/src/model/denoising.ts";
import type { DenoisingQueries } from "../packages/dfine/src/model/outputs.ts";
import { postprocess } from "../packages/dfine/src/postprocess.ts";
import { absoluteError, unitError } from "./compare.ts";
import { differentPairs, type JsonTargets, toPairs, toTargets } from "./hostUnits.ts";
import type { JsonTensor } from "./pack.ts";
import { proceduralDraws } from "./procedural.ts";
import { toTensor } from "./target.ts";
import { type Measure, perCase, type Unit } from "./unit.ts";

interface DenoisingUnit {
  readonly salt: string;
  readonly targets: readonly JsonTargets[];
  readonly queries: number;
  readonly classes: number;
  readonly box_noise: number;
  /** Rows of labels [classes + 1, D]; an indicator 1 follows in dn. */
  readonly label_enc: JsonTensor;
  readonly query_label: JsonTensor;
  readonly query_box_logit: JsonTensor;
  /** "1": blocked. */
  readonly attn_mask: readonly string[];
  readonly pad_size: number;
  readonly groups: number;
}
interface DnUnit extends DenoisingUnit {
  readonly label_noise: number;
  /** Image of each box, of one repetition, and queries of all repetitions. */
  readonly batch_index: readonly number[];
  readonly map_known_index: readonly number[];
}
interface DinoUnit extends DenoisingUnit {
  readonly dn_number: number;
  readonly label_noise_ratio: number;
}

/** The first `count` rows of each of B blocks of rows. */
function firstRows({ shape, data }: JsonTensor, count: number): number[] {
  const [images, rows, width] = shape as [number, number, number];
  const starts = Array.from({ length: images }, (_, b) => b * rows * width);
  return starts.flatMap((start) => data.slice(start, start + count * width));
}

/** What all denoisers must agree with the pack in. */
function denoisingMeasures(unit: DenoisingUnit, found: DenoisingQueries): Measure[] {
  const [, width] = unit.label_enc.shape as [number, number];
  const content = [...found.labels].flatMap((label) => {
    if (label === unit.classes) return new Array<number>(unit.query_label.shape[2]!).fill(0);
    const row = unit.label_enc.data.slice(label * width, (label + 1) * width);
    return unit.query_label.shape[2] === width ? row : [...row, 1];
  });
  const mask = [...denoisingMask(found, unit.queries)].map((bias) => (bias === 0 ? "0" : "1")).join("");
  return [
    { name: "sizes", error: absoluteError([found.numQueries, found.groups], [unit.pad_size, unit.groups]), allowed: 0 },
    { name: "content", error: unitError(content, firstRows(unit.query_label, unit.pad_size)) },
    { name: "box logits", error: unitError(found.boxesUnact, firstRows(unit.query_box_logit, unit.pad_size)) },
    { name: "mask", error: mask === unit.attn_mask.join("") ? 0 : 1, allowed: 0 },
  ];
}

/** Pairs of queries and targets that only one side has. */
function dnPairs({ batch_index, map_known_index, targets, groups }: DnUnit, found: DenoisingQueries): Measure {
  const of = <T>(list: readonly T[], b: number): T[] =>
    list.filter((_, i) => batch_index[i % batch_index.length] === b);
  const wrong = targets.map(({ labels }, b) => {
    const expected = Array.from({ length: groups * labels.length }, (_, i) => i % labels.length);
    return differentPairs(found.positives[b]!, toPairs([of(map_known_index, b), expected]));
  });
  return { name: "pairs", error: wrong.reduce((sum, n) => sum + n, 0), allowed: 0 };
}

const denoising: readonly Unit[] = [
  perCase<DnUnit>({
    ...{ file: "units/denoising_dn.json", on: "host" },
    measures(unit) {
      const { groups, label_noise: labelNoiseRatio, box_noise: boxNoiseScale, classes } = unit;
      const draws = proceduralDraws(unit.salt);
      const planned = DENOISERS.plan({ type: "dn", groups, labelNoiseRatio, boxNoiseScale });
      const found = planned.queries!(unit.targets.map(toTargets), { classes, draws });
      return [...denoisingMeasures(unit, found), dnPairs(unit, found)];
    },
  }),
  perCase<DinoUnit>({
    ...{ file: "units/denoising_dino.json", on: "host" },
    measures(unit) {
      const { dn_number: numDenoising, label_noise_ratio: labelNoiseRatio, box_noise: boxNoiseScale, classes } = unit;
      const draws = proceduralDraws(unit.salt);
      const planned = DENOISERS.plan({ type: "dino", numDenoising, labelNoiseRatio, boxNoiseScale });
      return denoisingMeasures(unit, planned.queries!(unit.targets.map(toTargets), { classes, draws }));
    },
  }),
];

const giou = (whose: string): Unit => ({
  file: `units/giou_${whose}.json`,
  on: "tensors",
  async run(pack) {
    type Case = Record<"a_cxcywh" | "b_cxcywh" | "giou", JsonTensor> & { readonly eps: number };
    const unit = pack.json<Case>(`units/giou_${whose}.json`);
    const [a, b]: [Tensor, Tensor] = [toTensor(unit.a_cxcywh).unsqueeze(1), toTensor(unit.b_cxcywh).unsqueeze(0)];
    return [{ name: "giou", error: unitError(await boxGiou(a, b, unit.eps).data(), unit.giou.data) }];
  },
});

interface PostUnit extends Record<"logits" | "boxes", JsonTensor> {
  readonly sizes_hw: readonly (readonly [number, number])[];
  readonly top: number;
  readonly results: readonly Record<"scores" | "labels" | "boxes", JsonTensor>[];
}

const post: Unit = {
  file: "units/post_process.json",
  on: "host",
  run: (pack) => {
    const { logits, boxes, sizes_hw, top, results } = pack.json<PostUnit>("units/post_process.json");
    const outputs = { logits: Float64Array.from(logits.data), boxes: Float64Array.from(boxes.data) };
    const sizes = sizes_hw.map(([height, width]) => [width, height] as const);
    const found = postprocess({ ...outputs, numQueries: logits.shape[1]! }, sizes, { numTopQueries: top });
    return results.flatMap((expected, b) =>
      (["scores", "labels", "boxes"] as const).map((key) => ({
        name: `${b} ${key}`,
        error: unitError(found[b]![key], expected[key].data),
      })),
    );
  },
};

/** Units of the four DETRs, but for their losses and images. */
export const detrUnits: readonly Unit[] = [...denoising, ...["deformable", "dn", "dino"].map(giou), post];
