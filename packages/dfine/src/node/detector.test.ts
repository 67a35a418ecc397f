import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Backend } from "@dfine/tensor";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ModelFileError } from "../checkpoint/errors.ts";
import { resolveBackend } from "../device.ts";
import { DFine as BrowserDFine } from "../dfine.ts";
import type { Result } from "../result.ts";
import { DFine } from "./detector.ts";
import { encodeImage } from "./draw.ts";

let folder = "";
let backend: Backend;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-detector-"));
  backend = await resolveBackend("cpu", { threads: 1 });
});
afterAll(async () => {
  backend.dispose();
  await rm(folder, { recursive: true });
});

const image = { width: 40, height: 30, data: Uint8Array.from({ length: 3600 }, (_, i) => (i * 31) % 256) };

test("weights and images may be pixels, bytes or paths, with the same result", async () => {
  using made = await DFine.create({ classes: 2, size: [256, 256], device: backend });
  expect(made).toBeInstanceOf(DFine);
  const [weights, png] = [join(folder, "w.safetensors"), join(folder, "i.png")];
  await made.saveFile(weights);
  const bytes = await encodeImage(image, png);
  await writeFile(png, bytes);
  using opened = await DFine.fromPretrained(weights, { device: backend });
  expect(opened).toBeInstanceOf(DFine);
  expect(opened.size).toEqual([256, 256]);
  expect(opened.names).toEqual(["class 0", "class 1"]);
  const options = { threshold: 0, maxDetections: 20 };
  const [expected] = await made.detect(image, options);
  expect(expected!.length).toBe(20);
  for (const result of await opened.detect([image, png, bytes], options)) expect(result).toEqual(expected);
});

test("batches of any size give the same bits, and no more than one of them is read ahead", async () => {
  using made = await DFine.create({ classes: 2, size: [256, 256], device: backend });
  const images = Array.from({ length: 5 }, (_, i) => ({
    ...{ width: 40 + i, height: 30, data: Uint8Array.from({ length: 90 * (40 + i) }, (_, p) => (p * (31 + i)) % 256) },
  }));
  const one: Result[] = [];
  for (const image of images) one.push(...(await made.detect(image, { threshold: 0 })));
  for (const batch of [1, 2, 4, 8])
    expect(await made.detect(images, { threshold: 0, batch }), `batch ${batch}`).toEqual(one);
  expect(await made.detect([])).toEqual([]);
  // The third batch has a file that is not there, which is met when its turn comes.
  const stop = new AbortController();
  const last = {
    ...images[3]!,
    get data() {
      stop.abort(new Error("enough"));
      return images[3]!.data;
    },
  };
  const list = [...images.slice(0, 3), last, join(folder, "none.png")];
  await expect(made.detect(list, { batch: 2, signal: stop.signal })).rejects.toThrow("enough");
  await expect(made.detect(list, { batch: 2 })).rejects.toThrow("none.png: does not exist");
});

test("detection stops when it is told to, and other files are refused with their name", async () => {
  using made = await DFine.create({ classes: ["a"], size: [256, 256], device: backend });
  await expect(made.detect(image, { signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
  const path = join(folder, "x.pth");
  await writeFile(path, Uint8Array.from([0x50, 0x4b, 3, 4, 0, 0, 8, 8, 0, 0, 0]));
  await expect(DFine.fromPretrained(path, { device: backend })).rejects.toThrow(
    /x\.pth: has no list of its entries at its end/,
  );
  await expect(DFine.fromPretrained(join(folder, "none"), { device: backend })).rejects.toThrow(ModelFileError);
  await expect(DFine.create({ classes: 1, size: [100, 100], device: backend })).rejects.toThrow(/multiple of 32/);
});

test("weights come by their address, in a browser as in Node", async () => {
  using made = await BrowserDFine.create({ classes: 1, size: [256, 256], device: backend });
  const address = `data:application/octet-stream;base64,${Buffer.from(await made.save()).toString("base64")}`;
  using opened = await BrowserDFine.fromPretrained(address, { device: backend });
  using inNode = await DFine.fromPretrained(address, { device: backend });
  expect(inNode.names).toEqual(opened.names);
  expect((await opened.detect(image, { threshold: 0 }))[0]).toEqual((await made.detect(image, { threshold: 0 }))[0]);
});
