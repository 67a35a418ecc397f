// Images of shapes as what a trainer learns from and is judged by.
import { type BatchSource, type CocoDataset, cocoDataset, type TrainingBatch } from "dfine";
import { CLASSES, drawImage, SIDE } from "./shapes.ts";

/** Batches that go round through images 0 to `images` - 1. */
export function shapesSource(images: number, options: { batch: number; batchesPerEpoch: number }): BatchSource {
  const { batch, batchesPerEpoch } = options;
  return {
    batchesPerEpoch,
    async *batches(epoch, { start = 0 } = {}) {
      for (let index = start; index < batchesPerEpoch; index++) {
        const first = (epoch * batchesPerEpoch + index) * batch;
        const ids = Array.from({ length: batch }, (_, i) => (first + i) % images);
        yield batchOf(ids, index);
      }
    },
  };
}

function batchOf(ids: readonly number[], index: number): TrainingBatch {
  const drawn = ids.map(drawImage);
  const plane = 3 * SIDE * SIDE;
  const images = new Float32Array(ids.length * plane);
  drawn.forEach(({ pixels }, i) => {
    images.set(pixels, i * plane);
  });
  return {
    images,
    shape: [ids.length, 3, SIDE, SIDE],
    targets: drawn.map(({ targets }) => targets),
    imageIds: ids,
    origSizes: ids.map(() => [SIDE, SIDE]),
    index,
  };
}

/** Images -1 to -`count`, which no training sees, as one batch with its annotations. */
export function shapesSamples(count: number): { batch: TrainingBatch; source: BatchSource; dataset: CocoDataset } {
  const batch = batchOf(
    Array.from({ length: count }, (_, i) => -1 - i),
    0,
  );
  const annotations = batch.targets.flatMap(({ labels, boxes }, i) =>
    Array.from(labels, (label, j) => {
      const [cx, cy, w, h] = Array.from(boxes.subarray(4 * j, 4 * j + 4), (value) => value * SIDE);
      const bbox = [cx! - w! / 2, cy! - h! / 2, w, h];
      return { id: 4 * i + j, image_id: batch.imageIds[i], category_id: label, bbox };
    }),
  );
  const images = batch.imageIds.map((id) => ({ id, file_name: `image ${id}`, width: SIDE, height: SIDE }));
  const categories = CLASSES.map((name, id) => ({ id, name }));
  return {
    batch,
    source: {
      batchesPerEpoch: 1,
      async *batches() {
        yield batch;
      },
    },
    dataset: cocoDataset({ images, annotations, categories }, "samples"),
  };
}
