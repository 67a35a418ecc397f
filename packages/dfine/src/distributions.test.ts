import { type Backend, Random } from "@dfine/tensor";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freshState, ownFile } from "../test/checkpoints.ts";
import { tinyModel } from "../test/tinyModel.ts";
import { resolveBackend } from "./device.ts";
import { DFine } from "./dfine.ts";
import { EDGES } from "./distributions.ts";

let backend: Backend;
beforeAll(async () => {
  backend = await resolveBackend("cpu", { threads: 1 });
});
afterAll(() => backend.dispose());

/** Weights with heads that have learned something: as they start, all distributions are even. */
async function weights(change: Parameters<typeof tinyModel>[0] = () => {}): Promise<Uint8Array> {
  const model = tinyModel(change);
  const state = await freshState(model, 3);
  const random = new Random(5);
  for (const [name, { data }] of state)
    if (/bbox_head|score_head/.test(name)) for (let i = 0; i < data.length; i++) data[i]! += random.uniform() - 0.5;
  // Learned on from where the configuration begins.
  if (model.decoder.learnWeighting)
    for (const [name, { data }] of state) if (/(^|\.)(up|reg_scale)$/.test(name)) data[0]! *= 1.5;
  return ownFile(state, model);
}

const image = { width: 130, height: 70, data: Uint8Array.from({ length: 27_300 }, (_, i) => (i * 31) % 256) };

test.each([
  ["squeeze", 0.5],
  ["letterbox", 0.5],
  ["squeeze", 0.75],
] as const)("first boxes and distributions give the final boxes (%s, a = %d)", async (resize, a) => {
  const file = await weights((model) => {
    Object.assign(model, { resize });
    model.decoder.learnWeighting = a !== 0.5;
  });
  using detector = await DFine.fromPretrained(file, { device: backend });
  const options = { threshold: 0, maxDetections: 8 };
  const objects = await detector.distributions(image, options);
  const [found] = await detector.detect(image, options);
  expect(objects.map(({ initial: _, edges: __, ...object }) => object)).toEqual(found!.objects);
  const { regMax } = detector.model.weighting;
  expect(Math.max(...objects.flatMap(({ edges }) => EDGES.map((edge) => Math.abs(edges[edge].shift))))).toBeGreaterThan(
    1,
  );
  for (const { initial, box, edges } of objects) {
    for (const edge of EDGES) {
      const { probability, weighted, shift } = edges[edge];
      expect(probability).toHaveLength(regMax + 1);
      expect(probability.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 6);
      expect(weighted[regMax / 2]).toBe(0);
      expect(weighted[regMax]! / probability[regMax]!).toBeCloseTo(2 * a, 6);
      const side = edge === "left" || edge === "right" ? initial.xmax - initial.xmin : initial.ymax - initial.ymin;
      expect(shift).toBeCloseTo(side * weighted.reduce((sum, part) => sum + part, 0), 6);
    }
    const cut = (value: number, limit: number) => Math.min(Math.max(value, 0), limit);
    expect(box.xmin).toBeCloseTo(cut(initial.xmin - edges.left.shift, image.width), 2);
    expect(box.ymin).toBeCloseTo(cut(initial.ymin - edges.top.shift, image.height), 2);
    expect(box.xmax).toBeCloseTo(cut(initial.xmax + edges.right.shift, image.width), 2);
    expect(box.ymax).toBeCloseTo(cut(initial.ymax + edges.bottom.shift, image.height), 2);
  }
});

test("a model with plain deltas has none", async () => {
  const file = await weights((model) => Object.assign(model.decoder, { boxHead: "delta" }));
  using detector = await DFine.fromPretrained(file, { device: backend });
  await expect(detector.distributions(image)).rejects.toThrow(/edges of this model are no distributions/);
  expect(await detector.detect(image)).toHaveLength(1);
});

test("images may come one by one", async () => {
  using detector = await DFine.fromPretrained(await weights(), { device: backend });
  const wanted = await detector.detect([image, image, image], { threshold: 0 });
  let given = 0;
  async function* camera() {
    for (; given < 3; given++) yield image;
  }
  const found = [];
  for await (const result of detector.stream(camera(), { threshold: 0, batch: 1 })) {
    // No image is asked for before the results of those before it are taken.
    expect(given).toBe(found.length);
    found.push(result);
  }
  expect(found).toEqual(wanted);
  expect(() => detector.stream([image], { threshold: 2 })).toThrow(/threshold/);
});
