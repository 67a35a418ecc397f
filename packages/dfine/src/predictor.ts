import { type Backend, noGrad, readTensors, scope, type TypedArray, tensor, withBackend } from "@dfine/tensor";
import type { Detector } from "./model/detector.ts";
import { type Detections, postprocess } from "./postprocess.ts";

/** Images as the network takes them, and the sizes that detections are scaled to. */
export interface PredictorInput {
  /** [B, 3, H, W], RGB / 255. */
  readonly images: Float32Array;
  readonly shape: readonly [number, number, number, number];
  /** Per image, width and height in pixels of the original. */
  readonly origSizes: readonly (readonly [width: number, height: number])[];
}

/** Detections of a batch: class labels, boxes in pixels, scores. */
export type Predictor = (input: PredictorInput) => Promise<Detections[]>;

/**
 * Runs a model that is in evaluation mode or deploy form. Where the backend offers it, its kernels are compiled beside each
 * other before the first input.
 */
export function modelPredictor(model: Detector, backend: Backend): Predictor {
  const { numTopQueries } = model.config;
  const forward = ({ images, shape }: PredictorInput) => noGrad(() => model.predictions(tensor(images, shape)));
  const predict = (input: PredictorInput): Promise<Detections[]> =>
    scope("predict", async () => {
      const { logits, boxes } = forward(input);
      const [scores, corners] = (await readTensors([logits, boxes])) as Exclude<TypedArray, Int32Array>[];
      return postprocess({ logits: scores!, boxes: corners!, numQueries: logits.shape[1]! }, input.origSizes, {
        numTopQueries,
      });
    });
  let isFirst = true;
  return (input) =>
    withBackend(backend, async () => {
      if (isFirst && backend.precompile) {
        isFirst = false;
        // What fails here fails in the prediction too, which tells of it.
        await backend.precompile(() => scope("rehearsal", () => void forward(input))).catch(() => undefined);
      }
      return await predict(input);
    });
}
