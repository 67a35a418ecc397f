import type { Crop } from "../packages/dfine/src/data/augment/crop.ts";
import { mirrored } from "../packages/dfine/src/data/augment/flip.ts";
import type { Sample } from "../packages/dfine/src/data/augment/sample.ts";
import { partIn, resizedTo } from "../packages/dfine/src/data/augment/scaleAndCrop.ts";
import { createImage } from "../packages/dfine/src/data/image.ts";
import { shortestEdge } from "../packages/dfine/src/data/inputFit.ts";
import { toTargets } from "../packages/dfine/src/data/targets.ts";
import { absoluteError, unitError } from "./compare.ts";
import type { JsonTensor } from "./pack.ts";
import { perCase, type Unit } from "./unit.ts";

const resize: Unit = {
  file: "units/resize_shortest_edge.json",
  on: "host",
  run: (pack) => {
    type Case = { wh: [number, number]; short: number; max: number; hw: [number, number] };
    const cases = pack.json<Case[]>("units/resize_shortest_edge.json");
    const found = cases.flatMap(({ wh: [width, height], short, max }) => {
      const size = shortestEdge({ width, height }, short, max);
      return [size.height, size.width];
    });
    return [
      {
        name: "sizes",
        error: absoluteError(
          found,
          cases.flatMap(({ hw }) => hw),
        ),
        allowed: 0,
      },
    ];
  },
};

type Step =
  | "flip"
  | { readonly resize: readonly [shortest: number, longest: number | null] }
  | { readonly crop_top_left_height_width: readonly [number, number, number, number] };

interface AugmentUnit {
  readonly wh: readonly [number, number];
  readonly boxes_xyxy: JsonTensor;
  readonly steps: readonly Step[];
  readonly size_wh: readonly [number, number];
  readonly kept: readonly number[];
  readonly out_xyxy: JsonTensor;
  readonly out_cxcywh: JsonTensor;
}

function changed(sample: Sample, step: Step): Sample {
  if (step === "flip") return mirrored(sample);
  if ("resize" in step) {
    const [shortest, longest] = step.resize;
    return resizedTo(sample, shortestEdge(sample.image, shortest, longest ?? undefined));
  }
  const [top, left, height, width] = step.crop_top_left_height_width;
  const crop: Crop = { top, left, height, width };
  return partIn(sample, crop);
}

/** What float32 gives, in which both sides compute boxes. */
const SINGLE = 1e-5;

const augment = perCase<AugmentUnit>({
  ...{ file: "units/augment_boxes.json", on: "host" },
  measures(unit) {
    const boxes = Float32Array.from(unit.boxes_xyxy.data);
    // Labels number the boxes, so that it is known which of them are left.
    const given = {
      image: createImage(...unit.wh),
      labels: Int32Array.from({ length: boxes.length / 4 }, (_, k) => k),
    };
    const found = unit.steps.reduce(changed, { ...given, boxes });
    const { width, height } = found.image;
    const targets = toTargets(found, found.image, { size: [height, width], resize: "shortestEdge", minSide: 0 });
    return [
      { name: "size", error: absoluteError([width, height], unit.size_wh), allowed: 0 },
      { name: "kept", error: absoluteError(targets.labels, unit.kept), allowed: 0 },
      { name: "pixels", error: unitError(found.boxes, unit.out_xyxy.data), allowed: SINGLE },
      { name: "targets", error: unitError(targets.boxes, unit.out_cxcywh.data), allowed: SINGLE },
    ];
  },
});

/** How the four DETRs bring images to their sizes. */
export const detrImages: readonly Unit[] = [resize, augment];
