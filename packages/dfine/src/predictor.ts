import { type Backend, noGrad, readTensors, scope, type TypedArray, tensor, withBackend } from "@dfine/tensor";
import type { DFineModel } from "./model/dfineModel.ts";
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

/** Runs a model that is in evaluation mode or deploy form. */
export function modelPredictor(model: DFineModel, backend: Backend): Predictor {
  const { numTopQueries, decoder } = model.config;
  return ({ images, shape, origSizes }) =>
    withBackend(backend, () =>
      scope("predict", async () => {
        const { logits, boxes } = noGrad(() => model.predictions(tensor(images, shape)));
        const [scores, corners] = (await readTensors([logits, boxes])) as Exclude<TypedArray, Int32Array>[];
        return postprocess({ logits: scores!, boxes: corners!, numQueries: decoder.numQueries }, origSizes, {
          numTopQueries,
        });
      }),
    );
}
