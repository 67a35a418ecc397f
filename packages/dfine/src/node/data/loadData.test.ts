import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { says, thrown } from "../../../test/badInput.ts";
import { DatasetError } from "../../data/errors.ts";
import { cocoDataset } from "../../data/parseCoco.ts";
import { splitDataset, splitOf } from "../../data/splits.ts";
import { loadDatasets } from "../datasets.ts";
import { loadData } from "./loadData.ts";

let folder = "";
let picture: Buffer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-load-"));
  picture = await sharp({ create: { width: 8, height: 6, channels: 3, background: "red" } })
    .jpeg()
    .toBuffer();
});
afterAll(() => rm(folder, { recursive: true }));

/** Writes files into a folder of that name; images where a text is missing. */
async function place(name: string, files: Readonly<Record<string, string | undefined>>): Promise<string> {
  await mkdir(join(folder, name), { recursive: true });
  for (const [path, text] of Object.entries(files)) {
    const whole = join(folder, name, path);
    await mkdir(dirname(whole), { recursive: true });
    await writeFile(whole, text ?? picture);
  }
  return join(folder, name);
}

const coco = (...files: string[]) =>
  JSON.stringify({
    images: files.map((file_name, id) => ({ id, file_name, width: 8, height: 6 })),
    annotations: files.map((_, id) => ({ id, image_id: id, category_id: 1, bbox: [1, 1, 4, 4] })),
    categories: [{ id: 1, name: "cat" }],
  });
const YAML = "train: images/train\nval: images/val\nnames: [cat]\n";
const VOC = "<annotation><filename>a.jpg</filename><size><width>8</width><height>6</height></size></annotation>";

test.each([
  ["data-none", "empty", {}],
  ["data-archive", "export.zip", { inner: "" }],
  ["data-no-part", "parts", { "train/_annotations.coco.json": coco("a.jpg"), "train/a.jpg": undefined }],
  ["data-two-files", "two", { "one.json": coco("a.jpg"), "two.json": coco("a.jpg"), "a.jpg": undefined }],
  ["data-no-images", "none", { "result.json": coco("images/a.jpg") }],
  ["yolo-no-names", "unnamed", { "images/train/a.jpg": undefined, "labels/train/a.txt": "0 0.5 0.5 1 1" }],
  ["yolo-no-folder", "gone", { "data.yaml": YAML, "images/train/a.jpg": undefined, "labels/train/a.txt": "" }],
  ["yolo-no-list", "single", { "data.yaml": YAML.replace("images/train", "images/a.jpg"), "images/a.jpg": undefined }],
  ["yolo-no-images", "bare", { "data.yaml": YAML, "images/train/a.txt": "", "images/val/a.jpg": undefined }],
  ["yolo-no-labels", "bald", { "data.yaml": YAML, "images/train/a.jpg": undefined, "images/train/b.jpg": undefined }],
  ["voc-no-classes", "classless", { "Annotations/a.xml": VOC, "JPEGImages/a.jpg": undefined }],
] as const)("%s", async (row, name, files) => {
  const at = await place(name, files);
  const error = await thrown(() => loadData(at, ["train", "val"]));
  expect(error).toBeInstanceOf(DatasetError);
  says(row, error);
});

test("data-missing", async () => {
  says("data-missing", await thrown(() => loadData(join(folder, "nowhere"), ["train"])));
});

test("a share is set aside for validation, the same one each time, where there is no such part", async () => {
  const names = Array.from({ length: 20 }, (_, i) => `${i}.jpg`);
  const files = Object.fromEntries(names.map((name) => [`images/${name}`, undefined]));
  const data = await place("share", { "result.json": coco(...names), ...files });
  const { train, val, notes } = await loadDatasets({ data, valSplit: 0.2 }, ["train"]);
  expect([train, val].map((part) => part!.dataset.images.length)).toEqual([16, 4]);
  const both = [train, val].flatMap((part) => part!.dataset.images.map(({ fileName }) => fileName));
  expect(both.sort()).toEqual([...names].sort());
  expect(notes).toEqual(["read as COCO JSON (result.json)", "4 of 20 images set aside for validation (--val-split)"]);
  expect(val!.dataset.annotationsByImage.size).toBe(4);
  const again = await loadDatasets({ data, valSplit: 0.2 }, ["train"]);
  expect(again.val!.dataset.images).toEqual(val!.dataset.images);
  // The other order of images, as another tool may write it, chooses the same ones.
  const turned = cocoDataset(JSON.parse(coco(...[...names].reverse())), "turned");
  const aside = splitDataset(turned, 0.2)[1].images.map(({ fileName }) => fileName);
  expect(aside.sort()).toEqual(val!.dataset.images.map(({ fileName }) => fileName).sort());
  const own = { images: join(data, "images"), annotations: join(data, "result.json") };
  says("data-val-split-all", await thrown(() => loadDatasets({ train: own, valSplit: 0.99 }, ["train"])));
  says("data-val-split", await thrown(() => loadDatasets({ train: own, val: own, valSplit: 0.2 }, ["train"])));
});

test("an image that cannot be read keeps its place among YOLO labels, for the loader to leave out", async () => {
  const at = await place("damaged", {
    "data.yaml": YAML,
    "images/train/a.jpg": "no image",
    "images/train/b.jpg": undefined,
    "labels/train/a.txt": "0 0.5 0.5 1 1",
  });
  const { train, notes } = await loadData(at, ["train"]);
  expect(notes).toEqual(["read as YOLO labels of Ultralytics (data.yaml)", "1 image cannot be read: a.jpg"]);
  expect(train.dataset.images.map(({ fileName, width, height }) => [fileName, width, height])).toEqual([
    ["a.jpg", 1, 1],
    ["b.jpg", 8, 6],
  ]);
});

test("an image that EXIF turns has the size that people see", async () => {
  const turned = await sharp(picture).withMetadata({ orientation: 6 }).jpeg().toBuffer();
  const at = await place("turned", { "classes.txt": "cat\n", "a.txt": "0 0.5 0.5 0.5 1" });
  await writeFile(join(at, "a.jpg"), turned);
  const { train } = await loadData(at, ["train"]);
  expect(train.dataset.images[0]).toMatchObject({ width: 6, height: 8 });
  expect(train.dataset.annotationsByImage.get(1)![0]!.bbox).toEqual([1.5, 0, 3, 8]);
});

test("names of other machines' paths are found by themselves, and said so", async () => {
  const file = coco("C:\\labels\\media\\a.jpg", "../../upload/b.jpg");
  const at = await place("paths", { "result.json": file, "images/a.jpg": undefined, "images/b.jpg": undefined });
  const { train, notes } = await loadData(at, ["train"]);
  expect(train.dataset.images.map(({ fileName }) => fileName)).toEqual(["a.jpg", "b.jpg"]);
  expect(train.imageRoot).toBe(join(at, "images"));
  expect(notes[1]).toMatch(/^images such as C:.* are looked for by their names alone, in .*images$/);
  const alike = await place("alike", { "result.json": coco("1/a.jpg", "2/a.jpg"), "images/a.jpg": undefined });
  await expect(loadData(alike, ["train"])).rejects.toThrow(/names images such as 1\/a\.jpg, which are in none of/);
});

test("a file that is given is what is asked for; beside files of parts others are passed over, which is said", async () => {
  const files = {
    "annotations/val.json": coco("a.jpg"),
    "annotations/all.json": coco("a.jpg"),
    "images/a.jpg": undefined,
  };
  const at = await place("given", files);
  const { train } = await loadData(join(at, "annotations/val.json"), ["train"]);
  expect(train.imageRoot).toBe(join(at, "images"));
  const { val, notes } = await loadData(at, ["val"]);
  expect(val.dataset.images).toHaveLength(1);
  expect(notes).toEqual([
    "read as COCO JSON (annotations/val.json)",
    expect.stringMatching(/^passed over .*all\.json/),
  ]);
});

test.each([
  ["train2017", "train"],
  ["instances_Validation", "val"],
  ["valid", "val"],
  ["test-dev", "test"],
  ["default", undefined],
  ["constructor", undefined],
  ["trains", undefined],
])("%s names the part %s", (name, part) => {
  expect(splitOf(name)).toBe(part);
});

test("images in folders whose names tell no part, beside those that do, are told", async () => {
  const images = {
    "images/train_station/a.jpg": undefined,
    "images/airport/b.jpg": undefined,
    "images/c.jpg": undefined,
  };
  const labels = { "labels/train_station/a.txt": "0 0.5 0.5 0.5 1", "labels/airport/b.txt": "0 0.5 0.5 0.5 1" };
  const at = await place("scenes", { "classes.txt": "cat\n", ...images, ...labels });
  const { notes, train } = await loadData(at, ["train"]);
  expect(train.dataset.images).toHaveLength(1);
  expect(notes.join()).toContain("passed over airport, c.jpg: the name tells no part");
});

const voc = (...names: string[]) =>
  VOC.replace(
    "</annotation>",
    `${names.map((name) => `<object><name>${name}</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax><ymax>4</ymax></bndbox></object>`).join("")}</annotation>`,
  );

test("folders of VOC annotations whose names tell no part, beside those that do, are told", async () => {
  const files = ["train/a", "extra/a", "old/a"].flatMap((path): [string, string | undefined][] => [
    [`${path}.xml`, voc("cat")],
    [`${path}.jpg`, undefined],
  ]);
  const at = await place("voc-parts", { ...Object.fromEntries(files), "notes/a.txt": "" });
  const { notes } = await loadData(at, ["train"]);
  expect(notes).toContain("passed over extra, old: the name tells no part");
});

test("blanks at the ends of VOC's names count where labelmap.txt has them, and are a slip elsewhere", async () => {
  const files = { "a.xml": voc("cat", " cat", "\n  dog\n "), "a.jpg": undefined };
  const namesAt = async (at: string) => {
    const { dataset } = (await loadData(at, ["train"])).train;
    const { annotationsByImage, categories, labels } = dataset;
    const objects = [...annotationsByImage.values()].flat().map(({ categoryId }) => labels.get(categoryId)!);
    return [categories.map(({ name }) => name), objects];
  };
  expect(await namesAt(await place("slip", files))).toEqual([
    ["cat", "dog"],
    [0, 0, 1],
  ]);
  const labelmap = "# label:color_rgb:parts:actions\ndog:::\n cat:::\ncat:::\n";
  expect(await namesAt(await place("meant", { ...files, "labelmap.txt": labelmap }))).toEqual([
    ["dog", " cat", "cat"],
    [2, 1, 0],
  ]);
});

test("images that differ in their endings alone are told, as they share their labels", async () => {
  const images = { "images/train/a.jpg": undefined, "images/train/a.png": undefined, "images/train/b.jpg": undefined };
  const yolo = await place("alike", {
    "data.yaml": "train: images/train\nnames: [cat]\n",
    ...images,
    "labels/train/a.txt": "0 0.5 0.5 1 1",
  });
  expect((await loadData(yolo, ["train"])).notes).toContain(
    "a.jpg and a.png share one label file: each counts with its objects",
  );
  const at = await place("voc-alike", { "a.xml": voc("cat"), "a.jpg": undefined, "a.png": undefined });
  expect((await loadData(at, ["train"])).notes).toContain(
    "a.jpg and a.png share one annotation file, which is taken for the image that it names",
  );
});
