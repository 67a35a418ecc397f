import { noGrad, Random, scope, tensor, withBackend } from "@dfine/tensor";
import type { CreateOptions } from "../src/detectorOptions.ts";
import { DFine } from "../src/dfine.ts";
import { changedFile } from "./changedFile.ts";

// Enough anchors for 300 queries.
const SIDE = 256;
const BATCHES = 25;

/**
 * Weights of an untrained model that nevertheless looks: its batch norms know the statistics of images, and its heads are
 * drawn at random. First weights find everything alike; these give objects scores and boxes of their own.
 */
export async function livelyWeights(options: CreateOptions): Promise<Uint8Array> {
  using detector = await DFine.create(options);
  const random = new Random(options.seed ?? 0);
  const { model, backend } = detector;
  model.train();
  for (let i = 0; i < BATCHES; i++)
    withBackend(backend, () =>
      scope("calibrate", () =>
        noGrad(() => void model.trainingOutputs(tensor(patches(random.fork(`${i}`)), [1, 3, SIDE, SIDE]))),
      ),
    );
  return withRandomHeads(await detector.save(), random.fork("heads"));
}

/** [1, 3, SIDE, SIDE] of noisy coloured squares. */
function patches(random: Random): Float32Array {
  const colors = Float32Array.from({ length: 3 * 100 }, () => random.uniform());
  return Float32Array.from({ length: 3 * SIDE * SIDE }, (_, i) => {
    const [plane, y, x] = [Math.floor(i / (SIDE * SIDE)), Math.floor(i / SIDE) % SIDE, i % SIDE];
    return 0.8 * colors[plane * 100 + (y >> 5) * 10 + (x >> 5)]! + 0.2 * random.uniform();
  });
}

function withRandomHeads(file: Uint8Array, random: Random): Uint8Array {
  return changedFile(file, (name, { shape, data }) => {
    if (!/(score|bbox)_head/.test(name)) return;
    // Biases become 0: those of first weights say that there is nothing anywhere.
    const spread = shape.length > 1 ? 2 / Math.sqrt(shape.at(-1)!) : 0;
    for (let i = 0; i < data.length; i++) data[i] = spread * random.normal();
  });
}
