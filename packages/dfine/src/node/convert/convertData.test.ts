import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { says, thrown } from "../../../test/badInput.ts";
import { EXPORTS, writeExport } from "../../../test/exports.ts";
import { runCommand } from "../../../test/runCommand.ts";
import type { DatasetSplit } from "../data/datasetParts.ts";
import { loadData } from "../data/loadData.ts";
import { doctor } from "../doctor/doctor.ts";
import { convertData, WRITTEN_FORMATS } from "./convertData.ts";

let folder = "";
const pictures = new Map<string, Buffer>();
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-round-"));
});
afterAll(() => rm(folder, { recursive: true }));

let count = 0;
const fresh = (name = "") => join(folder, `${++count}${name}`);

async function put(path: string, data: string | Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, data);
}

async function picture(width: number, height: number): Promise<Buffer> {
  const key = `${width}x${height}`;
  const made =
    pictures.get(key) ??
    (await sharp({ create: { width, height, channels: 3, background: "red" } })
      .png()
      .toBuffer());
  pictures.set(key, made);
  return made;
}

interface Made {
  readonly names: readonly string[];
  readonly parts: readonly (readonly MadeImage[])[];
}
interface MadeImage {
  readonly name: string;
  readonly size: readonly [number, number];
  readonly objects: readonly { readonly label: number; readonly bbox: readonly number[]; readonly crowd: boolean }[];
}

/** Writes a data set as COCO JSON with a data.yaml, by hand, and says where. */
async function write({ names, parts }: Made): Promise<string> {
  const root = fresh();
  const yaml: string[] = [];
  for (const [i, part] of ["train", "val", "test"].entries()) {
    const images = parts[i];
    if (!images) continue;
    for (const { name, size } of images) await put(join(root, part, name), await picture(...size));
    const annotations = images.flatMap(({ objects }, image_id) =>
      objects.map(({ label, bbox, crowd }) => ({ image_id, category_id: 7 + 2 * label, bbox, iscrowd: crowd ? 1 : 0 })),
    );
    const coco = {
      images: images.map(({ name, size: [width, height] }, id) => ({ id, file_name: name, width, height })),
      categories: names.map((name, label) => ({ id: 7 + 2 * label, name })),
      annotations: annotations.map((one, id) => ({ id, ...one })),
    };
    await put(join(root, `${part}.json`), JSON.stringify(coco));
    yaml.push(`${part}: { images: ${part}, annotations: ${part}.json }`);
  }
  await put(join(root, "data.yaml"), yaml.join("\n"));
  return root;
}

/** What a data set holds, whatever its ids. */
async function contents(place: string) {
  const { notes: _, ...parts } = await loadData(place, ["train", "val", "test"], []);
  const said = ({ dataset }: DatasetSplit) => ({
    classes: dataset.categories.map(({ name }) => name),
    images: dataset.images
      .map(({ id, fileName, width, height }) => ({
        ...{ fileName, width, height },
        objects: dataset.annotationsByImage
          .get(id)!
          .map(({ categoryId, bbox, iscrowd }) => ({ label: dataset.labels.get(categoryId), bbox, iscrowd })),
      }))
      .sort((a, b) => (a.fileName < b.fileName ? -1 : 1)),
  });
  return Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, said(part)]));
}

const side = fc.integer({ min: 2, max: 40 });
/** A start and a length inside `most`, in steps of 1 / `parts` pixels. */
const span = (most: number, parts: number) =>
  fc
    .tuple(fc.nat(most * parts - parts), fc.nat(most * parts))
    .map(([at, length]) => [at / parts, (parts + (length % (most * parts - at - parts + 1))) / parts] as const);
const word = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 8 })
  .map((text) => text.trim())
  .filter((text) => text !== "" && !/[\p{C}\p{Z}]/u.test(text) && text !== "background");
const stem = fc.constantFrom("a", "B", "c d", "é", "文件", "x.y", "sub/a", "n-1", "100%", "a'b");

/** Data sets with boxes in steps of 1 / `parts` pixels, crowds among them or not. */
const datasets = (parts: number, crowds: boolean): fc.Arbitrary<Made> =>
  fc.uniqueArray(word, { minLength: 1, maxLength: 4 }).chain((names) => {
    const image = fc.tuple(stem, side, side).chain(([name, width, height]) => {
      const object = fc
        .tuple(
          fc.nat(names.length - 1),
          span(width, parts),
          span(height, parts),
          crowds ? fc.boolean() : fc.constant(false),
        )
        .map(([label, [x, w], [y, h], crowd]) => ({ label, bbox: [x, y, w, h], crowd }));
      return fc.record({
        name: fc.constant(`${name}.png`),
        size: fc.constant([width, height] as const),
        objects: fc.array(object, { maxLength: 4 }),
      });
    });
    // Where all boxes were fractions of a pixel, they would be taken for fractions of the image.
    const anchor: MadeImage = {
      name: "anchor.png",
      size: [9, 9],
      objects: [{ label: 0, bbox: [2, 3, 4, 5], crowd: false }],
    };
    const part = fc
      .uniqueArray(image, { maxLength: 3, selector: ({ name }) => name })
      .map((images) => [anchor, ...images]);
    return fc.record({ names: fc.constant(names), parts: fc.array(part, { minLength: 1, maxLength: 3 }) });
  });

describe("round trips", () => {
  test.each([
    ["yolo", datasets(1e6, false)],
    ["coco", datasets(7, true)],
    ["voc", datasets(1, true)],
  ] as const)("through %s are equal", (to, made) =>
    fc.assert(
      fc.asyncProperty(made, async (data) => {
        const from = await write(data);
        const there = fresh(to);
        await convertData({ from, to, out: there });
        const expected = await contents(from);
        const images = (found: typeof expected) => Object.values(found).flatMap((part) => part.images);
        // Two parts may hold images of one name, which lie in one folder in VOC.
        if (to === "voc") expect(images(await contents(there))).toHaveLength(images(expected).length);
        else expect(await contents(there)).toEqual(expected);
        const back = fresh("back");
        await convertData({ from: there, to: "coco", out: back, images: "link" });
        expect(await contents(back)).toEqual(await contents(there));
        const plain = (found: typeof expected) =>
          Object.entries(found).map(([part, { classes, images }]) => [
            part,
            classes,
            images.map(({ fileName: _, ...rest }) => JSON.stringify(rest)).sort(),
          ]);
        expect(plain(await contents(back))).toEqual(plain(expected));
      }),
      { numRuns: 12 },
    ),
  );
});

test("exports of all tools are converted to each form, with the same boxes", async () => {
  const boxes = (found: Awaited<ReturnType<typeof contents>>) =>
    Object.entries(found).map(([part, { classes, images }]) => [
      part,
      images.map(({ objects }) => objects.map(({ label, bbox }) => [classes[label!], ...bbox.map(Math.round)])),
    ]);
  for (const [name, one] of Object.entries(EXPORTS)) {
    const from = fresh();
    await writeExport(from, one);
    for (const to of WRITTEN_FORMATS) {
      const out = fresh();
      await convertData({ from, to, out, images: "link" });
      expect(boxes(await contents(out)), `${name} to ${to}`).toEqual(boxes(await contents(from)));
    }
  }
});

const PLAIN: Made = {
  names: ["cat", "dog"],
  parts: [
    [
      { name: "a.png", size: [20, 10], objects: [{ label: 1, bbox: [1.5, 2, 6.25, 7], crowd: false }] },
      { name: "a.b/c.png", size: [8, 8], objects: [{ label: 0, bbox: [1, 1, 5, 5], crowd: true }] },
    ],
  ],
};

test("files are those that tools read", async () => {
  const from = await write(PLAIN);
  const [yolo, voc] = [fresh("yolo"), fresh("voc")];
  const notes = (await convertData({ from, to: "yolo", out: yolo })).notes;
  expect(notes.at(-1)).toBe("YOLO has no regions that are ignored: 1 crowd region left out");
  // (1.5 + 3.125) / 20, (2 + 3.5) / 10, 6.25 / 20, 7 / 10
  expect(await readFile(join(yolo, "labels/train/a.txt"), "utf8")).toBe("1 0.23125 0.55 0.3125 0.7\n");
  expect(await readFile(join(yolo, "labels/train/a.b/c.txt"), "utf8")).toBe("");
  expect(await readFile(join(yolo, "data.yaml"), "utf8")).toBe('train: images/train\nnames:\n  "0": cat\n  "1": dog\n');
  expect((await convertData({ from, to: "voc", out: voc })).notes.at(-1)).toBe(
    "VOC has whole pixels: 1 box was rounded",
  );
  // Columns 1.5 to 7.75 and rows 2 to 9 become, counted from 1, columns 3 to 8 and rows 3 to 9.
  expect(await readFile(join(voc, "Annotations/a.xml"), "utf8")).toContain(
    "<xmin>3</xmin><ymin>3</ymin><xmax>8</xmax><ymax>9</ymax>",
  );
  expect(await readFile(join(voc, "ImageSets/Main/train.txt"), "utf8")).toBe("a\na.b/c\n");
});

test("nothing is written into the data itself", async () => {
  const from = await write({ names: ["cat"], parts: [[{ name: "a.png", size: [9, 9], objects: [] }]] });
  const before = await readdir(from, { recursive: true });
  const inside = join(from, "out");
  await expect(convertData({ from, to: "yolo", out: inside })).rejects.toThrow(/lies in the data itself .*beside it/);
  await expect(doctor(from, { fix: inside })).rejects.toThrow(/lies in the data itself .*beside it/);
  expect(await readdir(from, { recursive: true })).toEqual(before);
});

test("file names with folders called images and labels keep their objects", async () => {
  const names = ["images/a.png", "images/labels/b.png", "labels/images/c.png", "d.png"];
  const objects = [{ label: 0, bbox: [1, 2, 3, 4], crowd: false }];
  const size = [20, 20] as const;
  const from = await write({ names: ["cat"], parts: [names.map((name) => ({ name, size, objects }))] });
  const out = fresh();
  await convertData({ from, to: "yolo", out });
  const found = (await contents(out)).train!.images;
  expect(found.map(({ objects }) => objects.length)).toEqual([1, 1, 1, 1]);
});

test("images are copied, linked or left; those that are too alike get numbers", async () => {
  const image = { size: [4, 4] as const, objects: [{ label: 0, bbox: [0, 0, 2, 2], crowd: false }] };
  const from = await write({
    names: ["x"],
    parts: [
      [
        { name: "a.png", ...image },
        { name: "a.jpg", ...image },
      ],
    ],
  });
  const [copied, linked, left] = [fresh(), fresh(), fresh()];
  await convertData({ from, to: "yolo", out: copied });
  expect((await readdir(join(copied, "images/train"))).sort()).toEqual(["a-2.jpg", "a.png"]);
  await convertData({ from, to: "coco", out: linked, images: "link" });
  expect((await stat(join(linked, "images/train/a.png"))).ino).toBe((await stat(join(from, "train/a.png"))).ino);
  await convertData({ from, to: "coco", out: left, images: "leave" });
  expect((await readdir(left)).sort()).toEqual(["annotations", "data.yaml"]);
  expect(await contents(left)).toEqual(await contents(from));
  await expect(convertData({ from, to: "voc", out: fresh(), images: "leave" })).rejects.toThrow(/Copy or link them/);
});

test("nothing is written over, and what fails leaves nothing", async () => {
  const from = await write(PLAIN);
  const out = fresh();
  await put(join(out, "mine.txt"), "mine");
  says("convert-exists", await thrown(() => convertData({ from, to: "coco", out })));
  expect(await readdir(out)).toEqual(["mine.txt"]);
  await rm(join(from, "train/a.png"));
  const other = fresh("fails");
  await expect(convertData({ from, to: "yolo", out: other })).rejects.toThrow(/of which 1 is not in/);
  expect((await readdir(folder)).filter((name) => name.includes("fails"))).toEqual([]);
});

test.each(WRITTEN_FORMATS)("dfine convert %s says what it read and what comes next", async (to) => {
  const out = fresh();
  const {
    code,
    out: said,
    err,
  } = await runCommand("convert", to, await write(PLAIN), "--out", out, "--val-split", "0.5");
  expect([code, said]).toEqual([0, `${out}: train 1, val 1 images\nnext: dfine train --data ${out}\n`]);
  expect(err).toMatch(/read as data.yaml that names COCO annotations/);
  expect(err).toMatch(/1 of 2 images set aside for validation/);
  expect(Object.keys(await contents(out))).toEqual(["train", "val"]);
});
