import { Random } from "@dfine/tensor";
import { expect, test } from "vitest";
import { resolveConfig } from "../config/resolve.ts";
import { resolveBackend } from "../device.ts";
import { Trainer } from "./trainer.ts";

const SIZE = 320;

// M and L at batch 1 are parts of X: fewer channels and layers.
test.each([
  ["n", 4, 1.5e9],
  ["s", 4, 2.5e9],
  ["x", 1, 2.5e9],
] as const)("a training step of %s at 320, batch %i, stays under %d bytes", async (preset, batch, most) => {
  const backend = await resolveBackend("cpu", { threads: 1 });
  const config = resolveConfig({ preset, task: "coco" });
  using trainer = await Trainer.create({ config, backend });
  const random = new Random(1);
  const boxes = () => Float32Array.from({ length: 7 * 4 }, (_, i) => (i % 4 < 2 ? 0.3 : 0.1) + 0.3 * random.uniform());
  const images = Array.from({ length: batch }, (_, i) => i);
  const { skipped } = await trainer.step(
    {
      images: Float32Array.from({ length: batch * 3 * SIZE * SIZE }, () => random.uniform()),
      shape: [batch, 3, SIZE, SIZE],
      targets: images.map(() => ({
        labels: Int32Array.from({ length: 7 }, () => random.integer(80)),
        boxes: boxes(),
      })),
      imageIds: images,
      origSizes: images.map(() => [SIZE, SIZE] as const),
      index: 0,
    },
    1,
  );
  expect(skipped).toBe(false);
  expect(backend.memory().peakBytes).toBeLessThan(most);
  backend.dispose();
});
