// The trainer's thread. It trains until the page ends it.
import { resolveBackend, Trainer, type TrainingBatch, trainLoop } from "dfine";
import { tinyConfig } from "./config.ts";
import { shapesSamples, shapesSource } from "./data.ts";
import type { Sample, Start, Told } from "./messages.ts";

const tell = (told: Told) => postMessage(told);

async function train({ device, images }: Start): Promise<void> {
  const config = tinyConfig();
  const { batch, ...val } = shapesSamples(8);
  tell({ kind: "samples", samples: toSamples(batch), names: config.model.classes });
  const open = () => resolveBackend(device);
  const trainer = await Trainer.create({
    config,
    backend: await open(),
    // A browser may take the GPU away: training then goes on from its last snapshot.
    reviveBackend: (lost) => {
      lost.dispose();
      return open();
    },
  });
  const source = shapesSource(images, { batch: config.train.batch, batchesPerEpoch: 10 });
  for await (const event of trainLoop(trainer, { train: source, val })) {
    if (event.kind === "step" && !event.replayed)
      tell({ kind: "step", step: event.step, loss: event.loss, milliseconds: 1000 * event.seconds });
    if (event.kind === "epoch") {
      const { detections, result } = event.evaluation!;
      const weights = new Uint8Array(await trainer.saveModel());
      tell({ kind: "found", detections, ap: result.stats.AP, weights });
    }
  }
}

function toSamples({ images, shape: [, , height, width], imageIds }: TrainingBatch): Sample[] {
  const plane = height * width;
  return imageIds.map((id, i) => {
    const image = new ImageData(width, height);
    for (let at = 0; at < plane; at++) {
      for (const channel of [0, 1, 2]) image.data[4 * at + channel] = 255 * images[(3 * i + channel) * plane + at]!;
      image.data[4 * at + 3] = 255;
    }
    return { id, image };
  });
}

addEventListener("message", ({ data }: MessageEvent<Start>) => {
  train(data).catch((error: Error) => tell({ kind: "error", message: error.message }));
});
