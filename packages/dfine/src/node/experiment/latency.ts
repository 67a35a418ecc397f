import { type Backend, Random, withBackend } from "@dfine/tensor";
import { buildDetector, type ModelConfig } from "../../model/architectures.ts";
import { modelPredictor } from "../../predictor.ts";

/** Runs that are timed, after one that compiles kernels and one that warms up. */
const RUNS = 5;

/** Milliseconds from an image of the usual size to detections, the shortest of some runs of the deploy form with first weights. */
export async function measureLatency(model: ModelConfig, backend: Backend): Promise<number> {
  using deployed = withBackend(backend, () => {
    using detector = buildDetector(model);
    return detector.initialize(new Random(0)).eval().deploy();
  });
  const predict = modelPredictor(deployed, backend);
  const [height, width] = model.evalSize;
  const random = new Random(1);
  const images = Float32Array.from({ length: 3 * height * width }, () => random.uniform());
  const times: number[] = [];
  for (let run = -2; run < RUNS; run++) {
    const start = performance.now();
    await predict({ images, shape: [1, 3, height, width], resize: model.resize, origSizes: [[width, height]] });
    if (run >= 0) times.push(performance.now() - start);
  }
  return Math.min(...times);
}
