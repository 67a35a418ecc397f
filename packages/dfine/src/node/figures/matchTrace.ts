import type { Backend } from "@dfine/tensor";
import { presetConfig } from "../../config/presets.ts";
import type { CocoImage } from "../../data/dataset.ts";
import { DatasetError } from "../../data/errors.ts";
import { toTensorData } from "../../data/image.ts";
import { toInput } from "../../data/inputFit.ts";
import { leastCostPairs, matchingCosts } from "../../loss/matcher.ts";
import { inputFrames, predictionReader } from "../../predictor.ts";
import type { DatasetSplit } from "../data/datasetParts.ts";
import type { DFine } from "../detector.ts";
import { thumbnail } from "../draw.ts";
import { toAnnotated, usablePixels } from "../trainReport.ts";
import type { MatchTrace } from "./matchFigure.ts";

const SIDE = 920;

/**
 * Matches the predictions of every decoder layer with an image's annotations, as training does. `detector` lies on `backend`.
 * @throws DatasetError where the image cannot be read
 */
export async function traceMatches(
  detector: DFine,
  split: DatasetSplit,
  { image, backend }: { image: CocoImage; backend: Backend },
): Promise<MatchTrace> {
  const pixels = await usablePixels(split, image, undefined);
  if (!pixels) throw new DatasetError(image.fileName, "cannot be read as an image", "Choose another one with --image.");
  const { model, preset } = detector;
  const { resize, evalSize } = model.config;
  const images = new Float32Array(3 * evalSize[0] * evalSize[1]);
  toTensorData(toInput(pixels, evalSize, resize), images);
  const input = {
    images,
    shape: [1, 3, ...evalSize] as const,
    ...{ origSizes: [[pixels.width, pixels.height]] as const, resize },
  };
  const read = predictionReader(model, backend, { everyLayer: true });
  const objects = split.dataset.annotationsByImage.get(image.id)!.filter(({ iscrowd }) => !iscrowd);
  const targets = objects.map((object) => toAnnotated(object, split.dataset));
  const [frame] = inputFrames(input, resize);
  const wanted = {
    labels: Int32Array.from(targets, ({ classId }) => classId),
    boxes: Float64Array.from(
      targets.flatMap(({ box: { xmin, ymin, xmax, ymax } }) => [
        ((xmin + xmax) / 2 - frame!.left) / frame!.width,
        ((ymin + ymax) / 2 - frame!.top) / frame!.height,
        (xmax - xmin) / frame!.width,
        (ymax - ymin) / frame!.height,
      ]),
    ),
  };
  const { matcher } = presetConfig(preset).criterion;
  const costs = await read(input, ({ earlier = [], ...last }) =>
    [...earlier, last].map((layer) => matchingCosts(layer, [wanted], matcher)),
  );
  const layers = costs.map((layer) => leastCostPairs(layer, [wanted])[0]!);
  const { width, height } = pixels;
  return { source: await thumbnail(pixels, SIDE), width, height, targets, layers };
}
