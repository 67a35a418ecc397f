import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import sharp from "sharp";
import {
  coco,
  type ExportedImage,
  type ExportedObject,
  fromOne,
  fromZero,
  NAMES,
  polygons,
  voc,
  yolo,
} from "./exportForms.ts";

const cat = (...bbox: [number, number, number, number]) => ({ name: "cat", bbox });
const dog = (...bbox: [number, number, number, number]) => ({ name: "dog", bbox });
const bird = (...bbox: [number, number, number, number]) => ({ name: "鸟", bbox });

const TRAIN: readonly ExportedImage[] = [
  { stem: "a", width: 64, height: 48, objects: [cat(4, 6, 20, 30), dog(30, 2, 33, 40)] },
  { stem: "b c", width: 80, height: 80, objects: [bird(10, 20, 41, 37)] },
  { stem: "d", width: 48, height: 64, objects: [dog(1, 1, 40, 50), dog(5, 8, 17, 19), cat(2, 3, 9, 11)] },
  { stem: "e", width: 96, height: 64, objects: [] },
];
const VAL: readonly ExportedImage[] = [
  { stem: "v", width: 50, height: 40, objects: [cat(3, 5, 30, 31), bird(7, 9, 11, 13)] },
];

/** What an export holds, by part. */
export type ExportedParts = Readonly<Partial<Record<"train" | "val", readonly ExportedImage[]>>>;

interface Export {
  readonly parts: ExportedParts;
  /** What is read of its classes, in their order. */
  readonly names?: readonly string[];
  readonly write: (put: Put) => Promise<void>;
}

/** Puts a file at a path, or an image. */
interface Put {
  text(path: string, text: string | object): Promise<void>;
  image(path: string, image: ExportedImage): Promise<void>;
}

/** Writes an export into a folder, in the form in which its tool writes it. */
export async function writeExport(folder: string, { write }: Export): Promise<void> {
  const put = async (path: string, data: string | Uint8Array) => {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), data);
  };
  await write({
    text: (path, text) => put(path, typeof text === "string" ? text : JSON.stringify(text)),
    image: async (path, { width, height }) => {
      const picture = sharp({ create: { width, height, channels: 3, background: "gray" } });
      await put(path, await picture.toFormat(path.endsWith(".png") ? "png" : "jpeg").toBuffer());
    },
  });
}

/** A folder of images with their labels, as a tool calls them. */
async function each(images: readonly ExportedImage[], write: (image: ExportedImage) => Promise<void>[]): Promise<void> {
  await Promise.all(images.flatMap(write));
}

const sorted = ["cat", "dog", "鸟"];

/** Exports of the tools that people label with, by tool and form. */
export const EXPORTS: Readonly<Record<string, Export>> = {
  "CVAT, COCO 1.0": {
    parts: { train: TRAIN },
    async write({ text, image }) {
      await text("annotations/instances_default.json", coco(TRAIN, { fileName: ({ stem }) => `${stem}.jpg` }));
      await each(TRAIN, (one) => [image(`images/${one.stem}.jpg`, one)]);
    },
  },
  "CVAT, COCO 1.0 of a project": {
    parts: { train: TRAIN, val: VAL },
    async write({ text, image }) {
      await text("annotations/instances_Train.json", coco(TRAIN, { fileName: ({ stem }) => `${stem}.jpg` }));
      await text("annotations/instances_Validation.json", coco(VAL, { fileName: ({ stem }) => `${stem}.jpg` }));
      await each(TRAIN, (one) => [image(`images/Train/${one.stem}.jpg`, one)]);
      await each(VAL, (one) => [image(`images/Validation/${one.stem}.jpg`, one)]);
    },
  },
  "CVAT, Ultralytics YOLO Detection 1.0": {
    parts: { train: TRAIN },
    async write({ text, image }) {
      await text(
        "data.yaml",
        `names:\n${NAMES.map((name, i) => `  ${i}: ${name}\n`).join("")}path: .\ntrain: train.txt\n`,
      );
      await text("train.txt", TRAIN.map(({ stem }) => `data/images/train/${stem}.jpg\n`).join(""));
      await each(TRAIN, (one) => [
        image(`images/train/${one.stem}.jpg`, one),
        text(`labels/train/${one.stem}.txt`, yolo(one)),
      ]);
    },
  },
  "CVAT, YOLO 1.1": {
    parts: { train: TRAIN, val: VAL },
    async write({ text, image }) {
      await text(
        "obj.data",
        "classes = 3\nnames = data/obj.names\ntrain = data/train.txt\nvalid = data/valid.txt\nbackup = backup/\n",
      );
      await text("obj.names", `${NAMES.join("\n")}\n`);
      for (const [part, images] of [
        ["train", TRAIN],
        ["valid", VAL],
      ] as const) {
        await text(`${part}.txt`, images.map(({ stem }) => `data/obj_${part}_data/${stem}.jpg\n`).join(""));
        await each(images, (one) => [
          image(`obj_${part}_data/${one.stem}.jpg`, one),
          text(`obj_${part}_data/${one.stem}.txt`, yolo(one)),
        ]);
      }
    },
  },
  "CVAT, PASCAL VOC 1.1": {
    parts: { train: TRAIN },
    async write({ text, image }) {
      const corners = (bbox: ExportedObject["bbox"]) => fromZero(bbox).map((side) => side.toFixed(1));
      await text(
        "labelmap.txt",
        `# label:color_rgb:parts:actions\nbackground:0,0,0::\n${NAMES.map((name) => `${name}:1,2,3::\n`).join("")}`,
      );
      await text(
        "ImageSets/Main/default.txt",
        TRAIN.map(({ stem }) => (stem.includes(" ") ? `"${stem}"\n` : `${stem}\n`)).join(""),
      );
      await each(TRAIN, (one) => [
        image(`JPEGImages/${one.stem}.jpg`, one),
        text(`Annotations/${one.stem}.xml`, voc(one, { filename: `${one.stem}.jpg`, corners })),
      ]);
    },
  },
  "Roboflow, COCO": {
    parts: { train: TRAIN, val: VAL },
    names: ["animals", ...NAMES],
    async write({ text, image }) {
      const fileName = ({ stem }: ExportedImage) => `${stem}_jpg.rf.0a1b2c.jpg`;
      const before = [{ id: 0, name: "animals", supercategory: "none" }];
      for (const [part, images] of [
        ["train", TRAIN],
        ["valid", VAL],
      ] as const) {
        await text(`${part}/_annotations.coco.json`, coco(images, { firstId: 0, before, fileName }));
        await each(images, (one) => [image(`${part}/${fileName(one)}`, one)]);
      }
      await text("README.roboflow.txt", "exported");
    },
  },
  "Roboflow, YOLOv8": {
    parts: { train: TRAIN, val: VAL },
    async write({ text, image }) {
      const names = NAMES.map((name) => `'${name}'`).join(", ");
      await text(
        "data.yaml",
        `train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 3\nnames: [${names}]\n\nroboflow:\n  workspace: me\n  version: 1\n`,
      );
      for (const [part, images] of [
        ["train", TRAIN],
        ["valid", VAL],
      ] as const)
        await each(images, (one) => [
          image(`${part}/images/${one.stem}_jpg.rf.0a1b2c.jpg`, one),
          text(`${part}/labels/${one.stem}_jpg.rf.0a1b2c.txt`, yolo(one, 16)),
        ]);
    },
  },
  "Roboflow, PASCAL VOC": {
    parts: { train: TRAIN, val: VAL },
    names: sorted,
    async write({ text, image }) {
      for (const [part, images] of [
        ["train", TRAIN],
        ["valid", VAL],
      ] as const)
        await each(images, (one) => {
          const name = `${one.stem}_jpg.rf.0a1b2c`;
          const more = `<path>${name}.jpg</path><source><database>roboflow.com</database></source>`;
          return [
            image(`${part}/${name}.jpg`, one),
            text(`${part}/${name}.xml`, voc(one, { filename: `${name}.jpg`, corners: fromOne, more })),
          ];
        });
    },
  },
  "Label Studio, COCO": {
    parts: { train: TRAIN },
    async write({ text, image }) {
      const fileName = ({ stem }: ExportedImage) => `images/0a1b2c3d-${stem}.jpg`;
      await text("result.json", coco(TRAIN, { firstId: 0, fileName }));
      await each(TRAIN, (one) => [image(fileName(one), one)]);
    },
  },
  "Label Studio, YOLO with images": {
    parts: { train: TRAIN },
    async write({ text, image }) {
      await text("classes.txt", `${NAMES.join("\n")}\n`);
      await text("notes.json", {
        categories: NAMES.map((name, id) => ({ id, name })),
        info: { contributor: "Label Studio" },
      });
      await each(TRAIN, (one) => [image(`images/${one.stem}.jpg`, one), text(`labels/${one.stem}.txt`, yolo(one, 17))]);
    },
  },
  "Label Studio, PASCAL VOC": {
    parts: { train: TRAIN },
    names: sorted,
    async write({ text, image }) {
      const more = "<owner><flickrid>NULL</flickrid><name>Label Studio</name></owner>";
      await each(TRAIN, (one) => [
        image(`images/${one.stem}.jpg`, one),
        text(`Annotations/${one.stem}.xml`, voc(one, { filename: one.stem, corners: fromZero, more })),
      ]);
    },
  },
  "Ultralytics, lists of folders, background images": {
    parts: { train: TRAIN, val: VAL },
    async write({ text, image }) {
      const names = NAMES.map((name, i) => `  ${i}: ${name}`).join("\n");
      await text(
        "animals.yaml",
        `path: ../datasets/animals # dataset root dir\ntrain:\n  - images/one\n  - images/two\nval: images/val\ntest: # none\nnames:\n${names}\ndownload: https://example.org/a.zip\n`,
      );
      const folder = (one: ExportedImage) => (one.stem < "c" ? "one" : "two");
      await each(TRAIN, (one) => [
        image(`images/${folder(one)}/${one.stem}.jpg`, one),
        ...(one.objects.length > 0 ? [text(`labels/${folder(one)}/${one.stem}.txt`, yolo(one, 9))] : []),
      ]);
      await each(VAL, (one) => [
        image(`images/val/${one.stem}.png`, one),
        text(`labels/val/${one.stem}.txt`, yolo(one, 9)),
      ]);
    },
  },
  "Ultralytics, polygons": {
    parts: { train: TRAIN, val: VAL },
    async write({ text, image }) {
      await text("data.yaml", `train: train.txt\nval: images/val\nnc: 3\nnames: [${NAMES.join(", ")}]\n`);
      await text("train.txt", TRAIN.map(({ stem }) => `./images/train/${stem}.jpg\n`).join(""));
      for (const [part, images] of [
        ["train", TRAIN],
        ["val", VAL],
      ] as const)
        await each(images, (one) => [
          image(`images/${part}/${one.stem}.jpg`, one),
          text(`labels/${part}/${one.stem}.txt`, polygons(one)),
        ]);
    },
  },
  "COCO 2017": {
    parts: { train: TRAIN, val: VAL },
    async write({ text, image }) {
      for (const [part, images] of [
        ["train2017", TRAIN],
        ["val2017", VAL],
      ] as const) {
        await text(`annotations/instances_${part}.json`, coco(images, { fileName: ({ stem }) => `${stem}.jpg` }));
        await text(`annotations/captions_${part}.json`, { images: [], annotations: [] });
        await each(images, (one) => [image(`${part}/${one.stem}.jpg`, one)]);
      }
    },
  },
  "VOC2007 in its archive's folder": {
    parts: { train: TRAIN, val: VAL },
    names: sorted,
    async write({ text, image }) {
      const root = "VOCdevkit/VOC2007";
      const list = (images: readonly ExportedImage[], mark = "") =>
        images.map(({ stem }) => `${stem}${mark}\n`).join("");
      await text(`${root}/ImageSets/Main/train.txt`, list(TRAIN));
      await text(`${root}/ImageSets/Main/val.txt`, list(VAL));
      await text(`${root}/ImageSets/Main/trainval.txt`, list([...TRAIN, ...VAL]));
      await text(`${root}/ImageSets/Main/cat_train.txt`, list(TRAIN, "  1"));
      await each([...TRAIN, ...VAL], (one) => [
        image(`${root}/JPEGImages/${one.stem}.jpg`, one),
        text(`${root}/Annotations/${one.stem}.xml`, voc(one, { filename: `${one.stem}.jpg`, corners: fromOne })),
      ]);
    },
  },
  "LabelImg, PASCAL VOC": {
    parts: { train: TRAIN },
    names: sorted,
    async write({ text, image }) {
      await each(TRAIN, (one) => [
        image(`${one.stem}.jpg`, one),
        text(
          `${one.stem}.xml`,
          voc(one, { filename: `${one.stem}.jpg`, corners: fromOne, more: "<path>/home/me/a.jpg</path>" }),
        ),
      ]);
    },
  },
  "LabelImg, YOLO": {
    parts: { train: TRAIN },
    async write({ text, image }) {
      await text("classes.txt", `${NAMES.join("\n")}\n`);
      await each(TRAIN, (one) => [image(`${one.stem}.jpg`, one), text(`${one.stem}.txt`, yolo(one))]);
    },
  },
};
