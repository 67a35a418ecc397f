import {
  type Backend,
  noGrad,
  readResults,
  scope,
  type Tensor,
  type TypedArray,
  tensor,
  withBackend,
} from "@dfine/tensor";
import { ConfigError } from "./config/errors.ts";
import { type InputBatch, inputFrame, type Rectangle, type Resize } from "./data/inputFit.ts";
import { inTurn } from "./deviceQueue.ts";
import type { Floats } from "./loss/matches.ts";
import type { Detector, DetectorConfig } from "./model/detector.ts";
import type { ForwardOptions, Predictions } from "./model/outputs.ts";
import { type Detections, postprocess, type RawDetections } from "./postprocess.ts";

/** Images as the network takes them, and the sizes that detections are scaled to. */
export interface PredictorInput extends InputBatch {
  /** How the images came to [H, W]. Default "squeeze". */
  readonly resize?: Resize;
  /** Per image, width and height in pixels of the original. */
  readonly origSizes: readonly (readonly [width: number, height: number])[];
}

/** Detections of an image, and where they were asked for those of the decoder layers before, in order. */
export interface PredictedImage extends Detections {
  readonly earlier?: readonly Detections[];
}

/**
 * Detections of a batch: class labels, boxes in pixels, scores. Calls may overlap; one that waits for its turn is given up
 * when the signal says so, with its reason.
 */
export type Predictor = (input: PredictorInput, signal?: AbortSignal) => Promise<PredictedImage[]>;

/** Reads predictions of a batch, as `pick` chooses, into arrays of numbers. */
export type PredictionReader = (
  input: PredictorInput,
  pick: (predictions: Predictions) => Tensor[],
  signal?: AbortSignal,
) => Promise<Floats[]>;

/**
 * Runs a model that is in evaluation mode or deploy form. Where the backend offers it, its kernels are compiled beside each
 * other before the first input. With `everyLayer`, which a deploy form cannot serve, there are predictions of earlier layers.
 */
export function predictionReader(
  model: Detector,
  backend: Backend,
  { everyLayer = false }: Pick<ForwardOptions, "everyLayer"> = {},
): PredictionReader {
  const forward = ({ images, shape, validSizes }: PredictorInput) =>
    noGrad(() => model.predictions(tensor(images, shape), { everyLayer, validSizes }));
  let compiled: Promise<void> | undefined;
  // What fails here fails in the prediction too, which tells of it.
  const compile = async (input: PredictorInput): Promise<void> =>
    backend
      .precompile?.(() => withBackend(backend, () => scope("rehearsal", () => void forward(input))))
      .catch(() => undefined);
  return async (input, pick, signal) => {
    const problem = resizeProblem(input, model.config);
    if (problem !== undefined) throw new ConfigError(`prediction: ${problem}`);
    compiled ??= compile(input);
    await compiled;
    // The read is queued when the turn ends, so the next one need not wait for its arrays.
    const { reading } = await inTurn(backend, () => {
      signal?.throwIfAborted();
      return { reading: readResults(backend, () => pick(forward(input))) };
    });
    return (await reading) as Exclude<TypedArray, Int32Array>[];
  };
}

/** The predictor of a model: see `predictionReader`. */
export const modelPredictor = (
  model: Detector,
  backend: Backend,
  options: Pick<ForwardOptions, "everyLayer"> = {},
): Predictor => detectionsOf(model.config, predictionReader(model, backend, options));

/** Detections of what is read, of earlier layers too where they are predicted. */
export const detectionsOf =
  (config: DetectorConfig, read: PredictionReader): Predictor =>
  async (input, signal) => {
    const pick = ({ earlier = [], ...last }: Predictions) =>
      [...earlier, last].flatMap(({ logits, boxes }) => [logits, boxes]);
    const arrays = await read(input, pick, signal);
    const layers: Detections[][] = [];
    for (let at = 0; at < arrays.length; at += 2)
      layers.push(toDetections({ logits: arrays[at]!, boxes: arrays[at + 1]! }, input, config));
    const last = layers.pop()!;
    if (layers.length === 0) return last;
    return last.map((image, i) => ({ ...image, earlier: layers.map((images) => images[i]!) }));
  };

/** Where the network's input lies in each image of a batch, in pixels of the image. */
export function inputFrames({ shape, origSizes }: PredictorInput, resize: Resize): Rectangle[] {
  const [, , ...size] = shape;
  return origSizes.map(([width, height]) => inputFrame({ width, height }, size, resize));
}

/** What logits [B, Q, C] and boxes [B, Q, 4] of a batch mean in its images. */
export function toDetections(
  { logits, boxes }: Pick<RawDetections, "logits" | "boxes">,
  input: PredictorInput,
  { numTopQueries, resize }: DetectorConfig,
): Detections[] {
  const numQueries = boxes.length / (4 * input.shape[0]);
  const frames = inputFrames(input, resize);
  const found = postprocess(
    { logits, boxes, numQueries },
    frames.map(({ width, height }) => [width, height]),
    { numTopQueries },
  );
  for (const [i, { boxes }] of found.entries()) {
    const { left, top } = frames[i]!;
    for (let at = 0; at < boxes.length; at++) boxes[at]! += at % 2 ? top : left;
  }
  return found;
}

/** What is wrong where images came to the input size in another way than the model's, for messages. */
export function resizeProblem({ resize = "squeeze" }: Pick<PredictorInput, "resize">, model: DetectorConfig) {
  if (resize === model.resize) return undefined;
  return `the model takes images of model.resize=${model.resize}, but these came with ${resize}; give resize: "${model.resize}" to what prepares them`;
}
