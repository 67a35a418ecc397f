import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PlantedData } from "../../../test/plantedData.ts";
import { convertData } from "../convert/convertData.ts";
import { type Diagnosis, doctor } from "./doctor.ts";

let folder = "";
let made = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-forms-"));
});
afterAll(() => rm(folder, { recursive: true }));

type Change = (lines: string[]) => string[];

/** Twelve training images of 96 x 72 as Ultralytics has them, the labels of the first two changed. */
async function yolo(change: Change = (lines) => lines): Promise<string> {
  const root = join(folder, `${made++}`);
  const data = new PlantedData(12);
  for (const [name, file] of data.files) {
    await mkdir(join(root, "images", dirname(name)), { recursive: true });
    await writeFile(join(root, "images", name), await file);
  }
  for (const part of ["train", "val"] as const) {
    await mkdir(join(root, "labels", part), { recursive: true });
    for (const [i, { id, file_name }] of data[part].images.entries()) {
      const lines = data[part].annotations
        .filter(({ image_id }) => image_id === id)
        .map(({ category_id, bbox }) => {
          const [x, y, w, h] = bbox as [number, number, number, number];
          return [category_id, (x + w / 2) / 96, (y + h / 2) / 72, w / 96, h / 72].join(" ");
        });
      const text = (part === "train" && i < 2 ? change(lines) : lines).join("\n");
      await writeFile(join(root, "labels", part, file_name.replace(".png", ".txt")), text);
    }
  }
  const names = "names: [cat, dog, owl]\n";
  await writeFile(join(root, "data.yaml"), `train: images/train\nval: images/val\n${names}`);
  return root;
}

const countsOf = ({ faults }: Pick<Diagnosis, "faults">) =>
  Object.fromEntries(faults.map(({ kind, count }) => [kind, count]));
const ofFirst =
  (change: (numbers: number[]) => (number | string)[]): Change =>
  ([first, ...rest]) => [change(first!.split(" ").map(Number)).join(" "), ...rest];

describe("labels of YOLO", () => {
  test("are read as they are", async () => {
    const { faults, parts } = await doctor(await yolo());
    expect(faults).toEqual([]);
    expect(parts.map(({ images, objects }) => [images, objects])).toEqual([
      [12, 36],
      [4, 12],
    ]);
  });

  const faults: Record<string, Change> = {
    "boxes-pixels": ofFirst(([label, x, y, w, h]) => [label!, x! * 96, y! * 72, w! * 96, h! * 72]),
    "category-unknown": ofFirst(([, ...box]) => [9, ...box]),
    "entries-malformed": ofFirst(([label, x, y]) => [label!, x!, y!]),
    "boxes-degenerate": ofFirst(([label, x, y, w]) => [label!, x!, y!, w!, 0]),
    "boxes-beyond": ofFirst(([label, , y, w, h]) => [label!, 0.95, y!, w!, h!]),
    "objects-repeated": ([first, ...rest]) => [first!, first!, ...rest],
    "images-empty": () => [],
  };
  test.each(Object.entries(faults))("%s", async (kind, change) => {
    expect(countsOf(await doctor(await yolo(change)))).toEqual({ [kind]: 2 });
  });

  test("classes counted from 1 are shifted back, boxes in pixels are taken as such", async () => {
    const root = await yolo(ofFirst(([label, x, y, w, h]) => [label!, x! * 96, y! * 72, w! * 96, h! * 72]));
    const clean = await yolo();
    for (const part of ["train", "val"])
      for (let i = 0; i < (part === "train" ? 12 : 4); i++) {
        const file = join(root, "labels", part, `pic${i}.txt`);
        const text = await readFile(file, "utf8");
        await writeFile(
          file,
          text.replace(/^\d/gm, (label) => String(Number(label) + 1)),
        );
      }
    const outs = [join(folder, "shifted"), join(folder, "clean")];
    const { faults } = await doctor(root, { fix: outs[0] });
    expect(countsOf({ faults })).toEqual({ "category-ids-shifted": 48, "boxes-pixels": 2 });
    await doctor(clean, { fix: outs[1] });
    const [shifted, whole] = await Promise.all(
      outs.map(async (out) => JSON.parse(await readFile(join(out, "annotations/train.json"), "utf8"))),
    );
    const plain = (json: PlantedData["train"]) =>
      json.annotations.map(({ category_id, image_id, bbox }) => [
        category_id,
        image_id,
        (bbox as number[]).map(Math.fround),
      ]);
    expect(plain(shifted)).toEqual(plain(whole));
  });
});

test("PASCAL VOC is read as for training: what is wrong with a file is a fault", async () => {
  const data = new PlantedData(12);
  const [from, to] = [await data.write(join(folder, "own")), join(folder, "voc")];
  await convertData({ from, to: "voc", out: to });
  expect((await doctor(to)).faults).toEqual([]);
  await writeFile(join(to, "Annotations", (await readdir(join(to, "Annotations")))[0]!), "<annotation>");
  expect(countsOf(await doctor(to))).toEqual({ "annotations-unreadable": 1 });
});

describe("COCO files", () => {
  test("are found with their images, in a folder or by themselves", async () => {
    const root = join(folder, "coco");
    const data = new PlantedData(12);
    data.take(1)[0]!.file_name = "none.png";
    await data.write(root);
    await rm(join(root, "data.yaml"));
    for (const place of [root, join(root, "train.json")])
      expect(countsOf(await doctor(place))).toEqual({ "image-missing": 1 });
  });

  test("what is no data set is said as a fault", async () => {
    await mkdir(join(folder, "nothing"));
    const { faults } = await doctor(join(folder, "nothing"));
    expect(faults[0]!.examples[0]).toContain("holds no data set that is recognised");
  });
});
