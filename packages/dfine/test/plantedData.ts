import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Random } from "@dfine/tensor";
import sharp from "sharp";
import { pngBomb } from "./tinyPng.ts";

type Entry = Record<string, unknown>;
interface Coco {
  images: (Entry & { id: number; file_name: string })[];
  categories: Entry[];
  annotations: (Entry & { bbox: unknown })[];
}

const [WIDTH, HEIGHT] = [96, 72];
/** Boxes lie within the square that every image has, also turned; the first and last of each do not fit when corners are read as sizes. */
const BOXES = [
  [40, 30, 20, 24],
  [10, 8, 16, 12],
  [44, 44, 22, 20],
] as const;

const pictures = new Map<number, Promise<Uint8Array>>();
/** A PNG of coloured squares that is like no other seed's. */
function picture(seed: number): Promise<Uint8Array> {
  const random = new Random(seed);
  const data = Uint8Array.from({ length: 8 * 6 * 3 }, () => random.integer(256));
  const make = () =>
    sharp(data, { raw: { width: 8, height: 6, channels: 3 } })
      .resize(WIDTH, HEIGHT, { kernel: "nearest" })
      .png()
      .toBuffer();
  const made = pictures.get(seed) ?? make();
  pictures.set(seed, made);
  return made;
}

/** A data set without faults, of as many training images, that faults can be planted in before it is written. */
export class PlantedData {
  readonly train: Coco;
  readonly val: Coco;
  readonly files = new Map<string, Promise<Uint8Array>>();
  /** Changes the text of annotations. */
  readonly text: Partial<Record<"train" | "val", (text: string) => string>> = {};
  names: string[] | undefined;
  #taken = 0;

  constructor(images: number) {
    this.train = this.#part("train", images);
    this.val = this.#part("val", 4);
  }

  #part(name: "train" | "val", count: number): Coco {
    const categories = ["cat", "dog", "owl"].map((label, id) => ({ id, name: label }));
    const coco: Coco = { images: [], categories, annotations: [] };
    for (let i = 0; i < count; i++) {
      const file = `pic${i}.png`;
      coco.images.push({ id: i + 1, file_name: file, width: WIDTH, height: HEIGHT });
      this.files.set(`${name}/${file}`, picture(name === "val" ? 1000 + i : i));
      for (const [label, bbox] of BOXES.entries()) add(coco, i + 1, { category_id: label, bbox: [...bbox] });
    }
    return coco;
  }

  /** Training images that no other fault was planted in. */
  take(count: number): Coco["images"] {
    this.#taken += count;
    const images = this.train.images.slice(this.#taken - count, this.#taken);
    if (images.length < count) throw new Error("too few images for so many faults");
    return images;
  }

  /** The first object of each of so many fresh images. */
  objects(count: number): Coco["annotations"] {
    return this.take(count).map(({ id }) => this.train.annotations.find(({ image_id }) => image_id === id)!);
  }

  bothParts(change: (coco: Coco) => unknown): void {
    for (const coco of [this.train, this.val]) change(coco);
  }

  /** Writes it, and returns its data.yaml. */
  async write(folder: string): Promise<string> {
    for (const [name, file] of this.files) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), await file);
    }
    for (const name of ["train", "val"] as const) {
      const text = JSON.stringify(this[name]);
      await writeFile(join(folder, `${name}.json`), this.text[name]?.(text) ?? text);
    }
    const parts = ["train", "val"].map((name) => `${name}: { images: ${name}, annotations: ${name}.json }\n`);
    const names = this.names ? [`names: ${JSON.stringify(this.names)}\n`] : [];
    await writeFile(join(folder, "data.yaml"), [...parts, ...names].join(""));
    return join(folder, "data.yaml");
  }
}

function add(coco: Coco, image: number, values: Entry): void {
  const id = coco.annotations.length + 1;
  coco.annotations.push({ id, image_id: image, area: 1, iscrowd: 0, bbox: [10, 10, 20, 20], ...values });
}

/** Adds an image with a file and one object. */
function addImage(coco: Coco, file_name: string): void {
  const id = 1 + Math.max(...coco.images.map((image) => image.id));
  coco.images.push({ id, file_name, width: WIDTH, height: HEIGHT });
  add(coco, id, { category_id: 1 });
}

/** Adds a category, and returns its id. */
function addCategory(coco: Coco, name: string): number {
  const id = 1 + Math.max(...coco.categories.map((one) => one.id as number));
  coco.categories.push({ id, name });
  return id;
}

const setBoxes =
  (change: (bbox: number[]) => unknown) =>
  (data: PlantedData, count: number): number => {
    for (const object of data.objects(count)) object.bbox = change(object.bbox as number[]);
    return count;
  };
const changeFiles =
  (make: (file: Promise<Uint8Array>, image: Coco["images"][number]) => Promise<Uint8Array> | undefined) =>
  (data: PlantedData, count: number): number => {
    for (const image of data.take(count)) {
      const name = `train/${image.file_name}`;
      const file = make(data.files.get(name)!, image);
      if (file) data.files.set(name, file);
      else data.files.delete(name);
    }
    return count;
  };
const renameImages =
  (rename: (name: string) => string) =>
  (data: PlantedData, count: number): number => {
    for (const image of data.take(count)) image.file_name = rename(image.file_name);
    return count;
  };
const inBoth =
  (change: (coco: Coco) => unknown) =>
  (data: PlantedData): number => {
    data.bothParts(change);
    return 2;
  };
const renumber = (ids: (id: number) => number) =>
  inBoth((coco) => {
    for (const one of coco.categories) one.id = ids(one.id as number);
    for (const one of coco.annotations) one.category_id = ids(one.category_id as number);
  });
const renameOwl = (name: string) =>
  inBoth((coco) => {
    coco.categories[2]!.name = name;
  });

/** How each kind of fault is planted, `count` times where it can be; returns how often it is there then. */
export const PLANTS: Readonly<Record<string, (data: PlantedData, count: number) => number>> = {
  "annotations-unreadable": (data) => {
    data.text.val = (text) => text.slice(0, 300);
    return 1;
  },
  "file-encoding": (data) => {
    data.text.val = (text) => `\ufeff${text}`;
    return 1;
  },
  "json-nan": (data) => {
    data.text.train = (text) => text.replaceAll('"area":1,', '"area":1,"score":NaN,');
    return 1;
  },
  "names-differ": (data) => {
    data.names = ["dog", "cat", "owl"];
    return 2;
  },
  "entries-malformed": (data, count) => {
    for (const object of data.objects(count)) object.category_id = "no number";
    return count;
  },
  "image-ids-repeated": (data, count) => {
    for (let i = 0; i < count; i++) {
      const [one, other] = data.take(2);
      for (const object of data.train.annotations) if (object.image_id === other!.id) object.image_id = one!.id;
      other!.id = one!.id;
    }
    // The second of the same three boxes would be an object that is there twice.
    data.train.annotations = data.train.annotations.filter(
      (object, i, all) => all.findIndex((one) => same(one, object)) === i,
    );
    return count;
  },
  "ids-beyond-2-53": (data, count) => {
    const images = data.take(count);
    const large = new Map(images.map(({ id }, i) => [id, `9123456789012345${100 + i}`]));
    const before = data.text.train ?? ((text) => text);
    data.text.train = (text) =>
      before(text).replace(/"(id|image_id)":(\d+),("file_name"|"area")/g, (all, key, id, next) => {
        const isOne = large.has(Number(id)) && (key === "image_id") === (next === '"area"');
        return isOne ? `"${key}":${large.get(Number(id))},${next}` : all;
      });
    return count;
  },
  "image-unknown": (data, count) => {
    for (let i = 0; i < count; i++) add(data.train, 100_000 + i, { category_id: 0 });
    return count;
  },
  "annotation-ids-repeated": (data, count) => {
    for (const object of data.objects(count + 1)) object.id = 5000;
    return count;
  },
  "path-outside": renameImages((name) => `/home/someone/train/${name}`),
  "image-spelling": renameImages((name) => name.toUpperCase()),
  "path-separators": (data, count) => {
    for (const image of data.take(count)) {
      const file = data.files.get(`train/${image.file_name}`)!;
      data.files.delete(`train/${image.file_name}`);
      data.files.set(`train/sub/${image.file_name}`, file);
      image.file_name = `sub\\${image.file_name}`;
    }
    return count;
  },
  "image-missing": changeFiles(() => undefined),
  "image-corrupt": changeFiles(async (file) => (await file).subarray(0, 120)),
  "image-format": changeFiles(async (_, { id }) => Buffer.from(`\0\0\0\x18ftypheic\0\0\0\0mif1heic${id}`, "latin1")),
  "image-oversized": (data, count) => {
    for (const image of data.take(count)) {
      data.files.set(`train/${image.file_name}`, Promise.resolve(pngBomb(30_000, 30_000 + image.id)));
      Object.assign(image, { width: 30_000, height: 30_000 + image.id });
      for (const object of data.train.annotations)
        if (object.image_id === image.id) object.bbox = (object.bbox as number[]).map((side) => side * 300);
    }
    return count;
  },
  "image-size": (data, count) => {
    for (const image of data.take(count)) Object.assign(image, { width: 2 * WIDTH, height: 2 * HEIGHT });
    return count;
  },
  "image-rotation": changeFiles(async (file, image) => {
    Object.assign(image, { width: HEIGHT, height: WIDTH });
    return await sharp(await file)
      .withMetadata({ orientation: 6 })
      .jpeg()
      .toBuffer();
  }),
  "image-colour": changeFiles(
    async (file) =>
      await sharp(await file)
        .toColourspace("rgb16")
        .png()
        .toBuffer(),
  ),
  "image-listed-twice": (data, count) => {
    for (const image of data.take(count)) addImage(data.train, image.file_name);
    return count;
  },
  "image-content-twice": (data, count) => {
    for (const { file_name } of data.take(count)) {
      data.files.set(`train/again-${file_name}`, data.files.get(`train/${file_name}`)!);
      addImage(data.train, `again-${file_name}`);
    }
    return count;
  },
  leak: (data, count) => {
    for (const { file_name } of data.take(count)) {
      data.files.set(`val/leak-${file_name}`, data.files.get(`train/${file_name}`)!);
      addImage(data.val, `leak-${file_name}`);
    }
    return count;
  },
  "leak-similar": (data, count) => {
    for (const { file_name } of data.take(count)) {
      const again = data.files.get(`train/${file_name}`)!.then((file) => sharp(file).jpeg({ quality: 90 }).toBuffer());
      data.files.set(`val/like-${file_name}`, again);
      addImage(data.val, `like-${file_name}`);
    }
    return count;
  },
  "category-ids-repeated": inBoth((coco) => coco.categories.push({ ...coco.categories[2], name: "hawk" })),
  "category-ids-shifted": (data) => {
    for (const object of data.val.annotations) object.category_id = (object.category_id as number) + 1;
    return data.val.annotations.length;
  },
  "category-unknown": (data, count) => {
    for (const object of data.objects(count)) object.category_id = 77;
    return count;
  },
  "class-names-broken": renameOwl("KÃ¤uzchen"),
  "class-names-lost": renameOwl("K\ufffduzchen"),
  "class-names-repeated": inBoth((coco) => addCategory(coco, "cat")),
  "categories-differ": (data) => {
    for (const one of data.val.categories) one.id = 2 - (one.id as number);
    for (const one of data.val.annotations) one.category_id = 2 - (one.category_id as number);
    return 1;
  },
  "category-ids-with-gaps": renumber((id) => (id === 2 ? 7 : id)),
  "category-ids-from-one": renumber((id) => id + 1),
  "class-without-objects": (data) => {
    data.bothParts((coco) => addCategory(coco, "unicorn"));
    return 1;
  },
  "class-not-in-train": (data, count) => {
    addCategory(data.train, "newt");
    const category_id = addCategory(data.val, "newt");
    for (let i = 0; i < count; i++) add(data.val, 1, { category_id, bbox: [5 + i, 60, 8, 8] });
    return 1;
  },
  "class-imbalance": (data) => {
    data.bothParts((coco) => {
      add(coco, 1, { category_id: addCategory(coco, "rare"), bbox: [70, 10, 15, 15] });
    });
    return 1;
  },
  "boxes-not-numbers": setBoxes(([x, y, w]) => [x, y, w, null]),
  "boxes-fractions": setBoxes(([x, y, w, h]) => [x! / WIDTH, y! / HEIGHT, w! / WIDTH, h! / HEIGHT]),
  "boxes-corners": (data) => {
    for (const object of data.val.annotations) {
      const [x, y, w, h] = object.bbox as [number, number, number, number];
      object.bbox = [x, y, x + w, y + h];
    }
    return data.val.annotations.length;
  },
  "boxes-degenerate": setBoxes(([x, y, w]) => [x, y, w, 0]),
  "boxes-outside": setBoxes(([, y, w, h]) => [WIDTH + 20, y, w, h]),
  "boxes-beyond": setBoxes(([, y, w, h]) => [WIDTH - 10, y, w, h]),
  "objects-repeated": (data, count) => {
    for (const { image_id, category_id, bbox } of data.objects(count))
      add(data.train, image_id as number, { category_id, bbox });
    return count;
  },
  "objects-small": setBoxes(([x, y]) => [x, y, 1, 1.5]),
  "images-crowded": (data, count) => {
    for (const { id } of data.take(count))
      for (let i = 0; i < 300; i++)
        add(data.train, id, { category_id: i % 3, bbox: [i % 60, Math.floor(i / 60), 15, 15] });
    return count;
  },
  "images-empty": (data, count) => {
    const ids = data.take(count).map(({ id }) => id);
    data.train.annotations = data.train.annotations.filter(({ image_id }) => !ids.includes(image_id as number));
    return count;
  },
};

const same = (a: Entry, b: Entry): boolean =>
  a.image_id === b.image_id && a.category_id === b.category_id && String(a.bbox) === String(b.bbox);
