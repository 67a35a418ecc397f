import { Random } from "@dfine/tensor";
import { expect, test } from "vitest";
import { resolveConfig } from "../config/resolve.ts";
import { resolveBackend } from "../device.ts";
import { Trainer } from "./trainer.ts";

test("a training step of n at 320, batch 4, stays under 1.5 GB", async () => {
  const backend = await resolveBackend("cpu");
  const config = resolveConfig({ preset: "n", task: "coco" });
  using trainer = await Trainer.create({ config, backend });
  const [size, random] = [320, new Random(1)];
  const boxes = () => Float32Array.from({ length: 7 * 4 }, (_, i) => (i % 4 < 2 ? 0.3 : 0.1) + 0.3 * random.uniform());
  await trainer.step(
    {
      images: Float32Array.from({ length: 4 * 3 * size * size }, () => random.uniform()),
      shape: [4, 3, size, size],
      targets: Array.from({ length: 4 }, () => ({
        labels: Int32Array.from({ length: 7 }, () => random.integer(80)),
        boxes: boxes(),
      })),
      imageIds: [1, 2, 3, 4],
      origSizes: Array.from({ length: 4 }, () => [size, size] as const),
      index: 0,
    },
    1,
  );
  expect(backend.memory().peakBytes).toBeLessThan(1.5e9);
  backend.dispose();
});
