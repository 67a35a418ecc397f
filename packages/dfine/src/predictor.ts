import { type Backend, noGrad, readResults, scope, type TypedArray, tensor, withBackend } from "@dfine/tensor";
import { inTurn } from "./deviceQueue.ts";
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

/**
 * Detections of a batch: class labels, boxes in pixels, scores. Calls may overlap; one that waits for its turn is given up
 * when the signal says so, with its reason.
 */
export type Predictor = (input: PredictorInput, signal?: AbortSignal) => Promise<Detections[]>;

/**
 * Runs a model that is in evaluation mode or deploy form. Where the backend offers it, its kernels are compiled beside each
 * other before the first input.
 */
export function modelPredictor(model: Detector, backend: Backend): Predictor {
  const { numTopQueries } = model.config;
  const forward = ({ images, shape }: PredictorInput) => noGrad(() => model.predictions(tensor(images, shape)));
  let compiled: Promise<void> | undefined;
  // What fails here fails in the prediction too, which tells of it.
  const compile = async (input: PredictorInput): Promise<void> =>
    backend
      .precompile?.(() => withBackend(backend, () => scope("rehearsal", () => void forward(input))))
      .catch(() => undefined);
  return async (input, signal) => {
    compiled ??= compile(input);
    await compiled;
    // The read is queued when the turn ends, so the next one need not wait for its arrays.
    const { reading } = await inTurn(backend, () => {
      signal?.throwIfAborted();
      const outputs = () => {
        const { logits, boxes } = forward(input);
        return [logits, boxes];
      };
      return { reading: readResults(backend, outputs) };
    });
    const [logits, boxes] = (await reading) as Exclude<TypedArray, Int32Array>[];
    const numQueries = boxes!.length / (4 * input.shape[0]);
    return postprocess({ logits: logits!, boxes: boxes!, numQueries }, input.origSizes, { numTopQueries });
  };
}
