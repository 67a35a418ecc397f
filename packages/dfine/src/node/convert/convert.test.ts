import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { says, thrown } from "../../../test/badInput.ts";
import { runCommand } from "../../../test/runCommand.ts";
import { VOC_CLASSES } from "../../config/vocClasses.ts";
import type { CocoJson } from "../../data/cocoJson.ts";
import { parseOdgt } from "../../data/crowdHuman.ts";
import { DatasetError } from "../../data/errors.ts";
import { parseVocXml } from "../../data/vocXml.ts";
import { loadData } from "../data/loadData.ts";
import { readCoco } from "../data/readCoco.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-convert-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function file(path: string, data: string | Uint8Array): Promise<string> {
  const whole = join(folder, path);
  await mkdir(dirname(whole), { recursive: true });
  await writeFile(whole, data);
  return whole;
}

const picture = (width: number, height: number) =>
  sharp({ create: { width, height, channels: 3, background: "red" } })
    .jpeg()
    .toBuffer();
const json = async (path: string) => JSON.parse(await readFile(join(folder, path), "utf8")) as CocoJson;

const VOC = `<annotation>
  <folder>VOC2007</folder><filename>000001.jpg</filename>
  <size><width>353</width><height>500</height><depth>3</depth></size>
  <!-- <object><name>cat</name></object> -->
  <object><name>dog</name><difficult>0</difficult><bndbox><xmin>48</xmin><ymin>240</ymin><xmax>195</xmax><ymax>371</ymax></bndbox></object>
  <object><name> person </name><difficult>1</difficult>
    <part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>
    <bndbox><xmin>8</xmin><ymin>12</ymin><xmax>352</xmax><ymax>498</ymax></bndbox></object>
</annotation>`;

describe("PASCAL VOC", () => {
  test("becomes COCO annotations: pixels from 0, difficult objects as crowds", async () => {
    await file("voc/ImageSets/Main/trainval.txt", "000001\n000002  1\n");
    await file("voc/Annotations/000001.xml", VOC);
    const empty = VOC.replace("000001.jpg", "A &amp; B.jpg").replace(/<!--[\s\S]*<\/object>/, "");
    await file("voc/Annotations/000002.xml", empty);
    const { code } = await runCommand("convert", "voc", join(folder, "voc"), "--out", join(folder, "voc.json"));
    expect(code).toBe(0);
    const { images, categories, annotations } = await json("voc.json");
    expect(images.map(({ file_name }) => file_name)).toEqual(["000001.jpg", "A & B.jpg"]);
    expect(categories.map(({ name }) => name)).toEqual(VOC_CLASSES);
    // Columns 48 to 195 are 148 pixels from the 47th on.
    expect(annotations).toEqual([
      { id: 1, image_id: 1, category_id: 12, bbox: [47, 239, 148, 132], area: 148 * 132, iscrowd: 0 },
      { id: 2, image_id: 1, category_id: 15, bbox: [7, 11, 345, 487], area: 345 * 487, iscrowd: 1 },
    ]);
    expect((await readCoco(join(folder, "voc.json"))).images).toHaveLength(2);
  });

  test.each([
    ["voc-xml", VOC.slice(0, 300)],
    ["voc-other", "<svg/>"],
    ["voc-deep", "<a>".repeat(1e6)],
    ["voc-number", VOC.replace("48", "left")],
  ])("%s", async (row, text) => {
    const error = await thrown(() => parseVocXml(text, "x.xml"));
    expect(error).toBeInstanceOf(DatasetError);
    says(row, error);
  });

  test.each([
    ["no XML", "hello", "x.xml: is not valid XML (missing root element)"],
    ["no name", VOC.replace("<name>dog</name>", ""), "x.xml: object 1 has no name"],
  ])("%s is refused", (_, text, said) => {
    expect(() => parseVocXml(text, "x.xml")).toThrow(DatasetError);
    expect(() => parseVocXml(text, "x.xml")).toThrow(said);
  });
});

describe("CrowdHuman", () => {
  const person = { tag: "person", fbox: [72, 202, 163, 503], vbox: [72, 202, 163, 398], extra: { box_id: 0 } };
  const odgt = [
    { ID: "273271,1a", gtboxes: [person, { ...person, extra: { ignore: 1 } }, { ...person, tag: "mask" }] },
    { ID: "273271,2b", gtboxes: [] },
  ];

  test("becomes COCO annotations of one class with id 0; what is to be ignored is a crowd", async () => {
    const list = await file("crowd/a.odgt", `${odgt.map((line) => JSON.stringify(line)).join("\n")}\n`);
    await file("crowd/images/273271,1a.jpg", await picture(400, 800));
    await file("crowd/images/273271,2b.jpg", await picture(30, 20));
    const args = ["convert", "crowdhuman", list, "--images", join(folder, "crowd/images"), "--out"];
    expect((await runCommand(...args, join(folder, "full.json"))).code).toBe(0);
    const { images, categories, annotations } = await json("full.json");
    expect(images).toEqual([
      { id: 1, file_name: "273271,1a.jpg", width: 400, height: 800 },
      { id: 2, file_name: "273271,2b.jpg", width: 30, height: 20 },
    ]);
    expect(categories).toEqual([{ id: 0, name: "person" }]);
    expect(annotations.map(({ bbox, iscrowd }) => [bbox[3], iscrowd])).toEqual([
      [503, 0],
      [503, 1],
      [503, 1],
    ]);
    expect((await runCommand(...args, join(folder, "seen.json"), "--box", "visible")).code).toBe(0);
    expect((await json("seen.json")).annotations[0]!.bbox).toEqual([72, 202, 163, 398]);
  });

  test("a line that is none is named", () => {
    expect(() => parseOdgt('{"ID": "a"}\n{"ID": 3}\n', "a.odgt")).toThrow(
      /a\.odgt: line 2 is no image of CrowdHuman \(ID/,
    );
    expect(() => parseOdgt("{", "a.odgt")).toThrow(DatasetError);
  });
});

test("Objects365: all but the first 5000 validation images are trained on, large images are made smaller", async () => {
  const categories = [{ id: 1, name: "Person" }];
  const image = (id: number, name: string, width: number) => ({
    id,
    file_name: `images/v1/${name}`,
    width,
    height: 100,
  });
  const annotation = (image_id: number) => ({
    id: 1,
    image_id,
    category_id: 1,
    bbox: [10, 20, 40, 40],
    area: 1000,
    iscrowd: 0,
  });
  const first = Array.from({ length: 5000 }, (_, i) => image(i, `${i}.jpg`, 200));
  const val = {
    images: [...first, image(5000, "m.jpg", 1281)],
    annotations: [annotation(5000), annotation(2)],
    categories,
  };
  const train = {
    categories,
    annotations: [annotation(6000), annotation(6001)],
    images: [image(6000, "t.jpg", 300), image(6001, "gone.jpg", 900)],
  };
  await file("o365/images_from_val/v1/m.jpg", await picture(1281, 100));
  const [trainFile, valFile] = [
    await file("o365/t.json", JSON.stringify(train)),
    await file("o365/v.json", JSON.stringify(val)),
  ];
  const made = join(folder, "o365/made");
  const { code, out } = await runCommand(
    ...["convert", "objects365", join(folder, "o365"), "--train", trainFile, "--val", valFile, "--out", made],
  );
  expect(code).toBe(0);
  expect(out).toMatch(/1 image could not be read/);
  const { train: learned, val: judged } = await loadData(join(made, "data.yaml"), ["train", "val"]);
  expect(judged.dataset.images).toHaveLength(5000);
  expect(judged.dataset.annotationsByImage.get(2)).toHaveLength(1);
  const written = await json("o365/made/train.json");
  // 1281 pixels become 640, 100 become ⌊100 · 640 / 1281⌋.
  expect(written.images).toEqual([
    { id: 5000, file_name: "images_from_val/v1/m_resized.jpg", width: 640, height: 49 },
    { id: 6000, file_name: "images/v1/t.jpg", width: 300, height: 100 },
  ]);
  const k = 640 / 1281;
  expect(written.annotations.map(({ id, image_id, bbox, area }) => ({ id, image_id, bbox, area }))).toEqual([
    { id: 1, image_id: 5000, bbox: [10 * k, 20 * k, 40 * k, 40 * k], area: 1000 * k ** 2 },
    { id: 2, image_id: 6000, bbox: [10, 20, 40, 40], area: 1000 },
  ]);
  const small = await sharp(join(learned.imageRoot, "images_from_val/v1/m_resized.jpg")).metadata();
  expect([small.width, small.height]).toEqual([640, 49]);

  const twice = await file("o365/twice.json", JSON.stringify({ ...train, images: [...train.images, ...train.images] }));
  const before = await readFile(join(made, "train.json"));
  const again = await runCommand(
    ...["convert", "objects365", join(folder, "o365"), "--train", twice, "--val", valFile, "--out", made],
  );
  expect([again.code, again.err]).toEqual([1, expect.stringMatching(/twice\.json: has image 6000 a second time/)]);
  expect(before.equals(await readFile(join(made, "train.json")))).toBe(true);
  expect((await readdir(made)).filter((name) => name.endsWith(".tmp"))).toEqual([]);
});

describe("official configurations", () => {
  test("includes are read from their places, the later over the earlier", async () => {
    await file("cfg/runtime.yml", "checkpoint_freq: 12\nclip_max_norm: 0.1\n");
    await file("cfg/include/optimizer.yml", "epoches: 72\noptimizer: {lr: 0.00025, weight_decay: 0.000125}\n");
    const top =
      '__include__: ["runtime.yml", "include/optimizer.yml"]\nHGNetv2: {name: B4, use_lab: false, freeze_at: 0, freeze_norm: true}\n';
    const yml = await file("cfg/l.yml", `${top}epoches: 99\noptimizer: {lr: 0.0005}\nodd: 1\n`);
    const target = join(folder, "cfg/ours.yaml");
    const { code, err } = await runCommand("convert", "config", yml, "--out", target);
    expect(code).toBe(0);
    expect(err).toMatch(/not understood, and left out: odd/);
    const text = await readFile(target, "utf8");
    expect(text).toMatch(/^preset: l\n/);
    expect(text).toMatch(/epochs: 99\n/);
    expect(text).toMatch(/learningRate: 0\.0005\n/);
    expect(text).not.toMatch(/weightDecay|clipMaxNorm|checkpointEvery/);
  });

  test("a circle, and a file that is not there, are said", async () => {
    const yml = await file("cfg/a.yml", "__include__: [b.yml]\n");
    await file("cfg/b.yml", "__include__: [a.yml]\n");
    const circle = await runCommand("convert", "config", yml);
    expect([circle.code, circle.err]).toEqual([2, expect.stringMatching(/b\.yml: includes itself, by way of/)]);
    const none = await runCommand("convert", "config", await file("cfg/c.yml", "__include__: [none.yml]\n"));
    expect([none.code, none.err]).toEqual([1, expect.stringMatching(/none\.yml: does not exist/)]);
  });
});
