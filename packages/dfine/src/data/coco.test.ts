import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cocoDataset, parseCoco } from "./coco.ts";
import { DatasetError } from "./errors.ts";
import { summarizeDataset } from "./summary.ts";
import { trainingTargets } from "./targets.ts";

const image = { id: 1, file_name: "a.jpg", width: 100, height: 50 };
const valid = {
  images: [{ ...image, id: 9, file_name: "b.jpg" }, image],
  categories: [
    { id: 7, name: "dog" },
    { id: 2, name: "cat" },
  ],
  annotations: [
    { id: 1, image_id: 1, category_id: 7, bbox: [10, 10, 20, 30], area: 500, iscrowd: 0 },
    { id: 2, image_id: 1, category_id: 2, bbox: [90, 40, 20, 30] },
    { id: 3, image_id: 1, category_id: 2, bbox: [0, 0, 100, 50], area: 5000, iscrowd: 1 },
    { id: 4, image_id: 1, category_id: 2, bbox: [100, 10, 5, 5], area: 25 },
    { id: 5, image_id: 1, category_id: 2, bbox: [20, 10, 0, 5], area: 0 },
  ],
};
const clone = (): typeof valid & Record<string, unknown> => structuredClone(valid);

test("images and categories come in ascending id order; ids are mapped to labels", () => {
  const dataset = parseCoco(JSON.stringify(valid), "x.json");
  expect(dataset.images.map(({ id, fileName }) => [id, fileName])).toEqual([
    [1, "a.jpg"],
    [9, "b.jpg"],
  ]);
  expect(dataset.categories).toEqual([
    { id: 2, name: "cat" },
    { id: 7, name: "dog" },
  ]);
  expect([...dataset.labels]).toEqual([
    [2, 0],
    [7, 1],
  ]);
  expect(dataset.remapped).toBe(true);
  expect(dataset.annotationsByImage.get(9)).toEqual([]);
  expect(dataset.annotationsByImage.get(1)!.map(({ area }) => area)).toEqual([500, 600, 5000, 25, 0]);
});

test("ids 0 to n-1 are labels as they are", () => {
  const json = clone();
  json.categories = [
    { id: 0, name: "cat" },
    { id: 1, name: "dog" },
  ];
  json.annotations = [];
  expect(cocoDataset(json, "x.json").remapped).toBe(false);
});

test("targets: crowds and boxes without area are left out, the rest clamped and normalised", () => {
  const dataset = cocoDataset(valid, "x.json");
  const targets = trainingTargets(dataset, dataset.images[0]!);
  expect([...targets.labels]).toEqual([1, 0]);
  expect(targets.boxes).toEqual(Float32Array.of(0.2, 0.5, 0.2, 0.6, 0.95, 0.9, 0.1, 0.2));
  expect(targets).toMatchObject({ clipped: 1, dropped: 2, crowd: 1, tiny: 0 });
  const empty = trainingTargets(dataset, dataset.images[1]!);
  expect([empty.labels.length, empty.boxes.length]).toEqual([0, 0]);
});

test("boxes under one pixel of the network's input are left out when its size is given", () => {
  const json = clone();
  json.annotations = [
    { id: 1, image_id: 1, category_id: 2, bbox: [10, 10, 3, 10], area: 30, iscrowd: 0 },
    { id: 2, image_id: 1, category_id: 2, bbox: [10, 10, 4, 10], area: 40, iscrowd: 0 },
  ];
  const dataset = cocoDataset(json, "x.json");
  const targets = trainingTargets(dataset, dataset.images[0]!, { size: [32, 32] });
  expect([targets.labels.length, targets.tiny]).toEqual([1, 1]);
});

test("targets always lie inside the image; every box is either kept or counted as dropped", () => {
  const number = fc.double({ min: -300, max: 300, noNaN: true });
  fc.assert(
    fc.property(fc.array(fc.tuple(number, number, number, number), { maxLength: 20 }), (boxes) => {
      const json = clone();
      json.annotations = boxes.map((bbox, i) => ({
        id: i,
        image_id: 1,
        category_id: 2,
        bbox: [...bbox],
        area: 1,
        iscrowd: 0,
      }));
      json.annotations.push({ id: 99, image_id: 9, category_id: 2, bbox: [50, 20, 3, 3], area: 9, iscrowd: 0 });
      const dataset = cocoDataset(json, "x.json");
      const targets = trainingTargets(dataset, dataset.images[0]!);
      expect(targets.labels.length + targets.dropped).toBe(boxes.length);
      for (let i = 0; i < targets.boxes.length; i += 4) {
        const [cx, cy, w, h] = targets.boxes.subarray(i, i + 4);
        expect(w! > 0 && h! > 0).toBe(true);
        for (const edge of [cx! - w! / 2, cx! + w! / 2, cy! - h! / 2, cy! + h! / 2]) {
          expect(edge > -1e-6 && edge < 1 + 1e-6).toBe(true);
        }
      }
    }),
  );
});

test("the summary says what was mapped, cut and left out", () => {
  const summary = summarizeDataset(cocoDataset(valid, "x.json"));
  expect(summary).toMatchObject({ images: 2, boxes: 2, imagesWithoutBoxes: 1, clipped: 1, dropped: 2, crowd: 1 });
  expect(summary.notes.join("\n")).toMatch(/ids 2, 7 are mapped to labels 0–1/);
});

describe("what is wrong is said with place, fact and remedy", () => {
  const cases: [string, (json: Record<string, unknown[]>) => unknown, RegExp][] = [
    ["no images", (json) => ({ ...json, images: undefined }), /x\.json: has nothing as "images"/],
    ["a detections file", (json) => json.annotations, /not a list of detections/],
    ["no categories", (json) => ({ ...json, categories: [] }), /no categories/],
    ["a text id", (json) => ({ ...json, images: [{ ...image, id: "1" }] }), /images\[0\]\.id is "1".*without quotes/],
    ["two images of one id", (json) => ({ ...json, images: [image, image] }), /images\[1\]\.id is 1, as images\[0\]/],
    ["no file name", (json) => ({ ...json, images: [{ ...image, file_name: 3 }] }), /images\[0\]\.file_name is 3/],
    ["no width", (json) => ({ ...json, images: [{ ...image, width: 0 }] }), /images\[0\]\.width is 0/],
    ["a null row", (json) => ({ ...json, annotations: [null] }), /annotations\[0\] is null/],
    [
      "an unknown image",
      (json) => ({ ...json, annotations: [{ ...valid.annotations[0], image_id: 5 }] }),
      /annotations\[0\]\.image_id is 5, but no image/,
    ],
    [
      "an unknown category",
      (json) => ({ ...json, annotations: [{ ...valid.annotations[0], category_id: 3 }] }),
      /category_id is 3, but the category ids are 2, 7/,
    ],
    [
      "three numbers",
      (json) => ({ ...json, annotations: [{ ...valid.annotations[0], bbox: [1, 2, 3] }] }),
      /annotations\[0\]\.bbox is \[1,2,3\]/,
    ],
    [
      "a null in a box",
      (json) => ({ ...json, annotations: [{ ...valid.annotations[0], bbox: [1, 2, 3, null] }] }),
      /four finite numbers/,
    ],
    [
      "a strange crowd",
      (json) => ({ ...json, annotations: [{ ...valid.annotations[0], iscrowd: 2 }] }),
      /iscrowd is 2/,
    ],
    ["an area of text", (json) => ({ ...json, annotations: [{ ...valid.annotations[0], area: "9" }] }), /area is "9"/],
    [
      "fractions",
      (json) => ({ ...json, annotations: [{ ...valid.annotations[0], bbox: [0.1, 0.2, 0.5, 0.5] }] }),
      /between 0 and 1.*multiply by/,
    ],
    [
      "corners",
      (json) => ({
        ...json,
        annotations: [1, 2, 3, 4, 5].map((i) => ({ ...valid.annotations[0], bbox: [60 + i, 10 + i, 80 + i, 40 + i] })),
      }),
      /5 of 5 boxes leave their image.*x2 - x1/,
    ],
  ];
  test.each(cases)("%s", (_, change, message) => {
    const broken = change(clone() as unknown as Record<string, unknown[]>);
    expect(() => parseCoco(JSON.stringify(broken), "x.json")).toThrow(DatasetError);
    expect(() => parseCoco(JSON.stringify(broken), "x.json")).toThrow(message);
  });

  test("broken JSON", () => {
    expect(() => parseCoco('{"images": [', "x.json")).toThrow(/x\.json: is not valid JSON.*complete/);
  });
});

test("keys of Object's prototype are data, not behaviour", () => {
  const text = JSON.stringify(valid).replace('"images"', '"__proto__":{"polluted":1},"images"');
  expect(parseCoco(text, "x.json").images).toHaveLength(2);
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  expect(() => parseCoco('{"__proto__":{"images":[],"annotations":[],"categories":[]}}', "x.json")).toThrow(
    DatasetError,
  );
});

test("damaged bytes give an error or a data set, never anything else", () => {
  const text = JSON.stringify(valid);
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.nat(5), fc.string({ maxLength: 3 }), (at, length, inserted) => {
      const damaged = text.slice(0, at) + inserted + text.slice(at + length);
      try {
        const dataset = parseCoco(damaged, "x.json");
        for (const one of dataset.images) trainingTargets(dataset, one);
      } catch (error) {
        if (!(error instanceof DatasetError)) throw error;
      }
    }),
    { numRuns: 20_000 },
  );
});

test("a million annotations are read in seconds", () => {
  const images = Array.from({ length: 1000 }, (_, i) => ({ ...image, id: i }));
  const row = (i: number) =>
    `{"id":${i},"image_id":${i % 1000},"category_id":2,"bbox":[${i % 50}.25,3,5,6],"area":30,"iscrowd":0}`;
  const annotations = Array.from({ length: 1_000_000 }, (_, i) => row(i)).join(",");
  const text = `{"images":${JSON.stringify(images)},"categories":${JSON.stringify(valid.categories)},"annotations":[${annotations}]}`;
  const start = performance.now();
  const dataset = parseCoco(text, "x.json");
  expect(dataset.annotationsByImage.get(7)).toHaveLength(1000);
  expect(performance.now() - start).toBeLessThan(30_000);
});
