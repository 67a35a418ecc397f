import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseCoco } from "../../data/parseCoco.ts";
import { readCoco } from "./readCoco.ts";

let file = "";
beforeAll(async () => {
  file = join(await mkdtemp(join(tmpdir(), "dfine-coco-")), "x.json");
});
afterAll(() => rm(join(file, ".."), { recursive: true }));

const name = fc.string({ minLength: 1, unit: "grapheme" });
const side = fc.integer({ min: 1, max: 5000 });
const row = { segmentation: fc.array(fc.array(fc.double({ noNaN: true }))), note: fc.jsonValue() };
const image = fc.record({ file_name: name, width: side, height: side, ...row });
const box = fc.tuple(fc.double({ min: 0, max: 9, noNaN: true }), fc.nat(9), fc.integer({ min: 2, max: 3 }), fc.nat(3));
const annotation = fc.record(
  { bbox: box, area: fc.constantFrom(null, 3), iscrowd: fc.constantFrom(0, 1, true), ...row },
  { requiredKeys: ["bbox"] },
);
const coco = fc
  .record({
    info: fc.jsonValue(),
    images: fc.array(image, { maxLength: 5 }),
    categories: fc.array(name, { minLength: 1, maxLength: 4 }),
    annotations: fc.array(annotation, { maxLength: 6 }),
    indent: fc.constantFrom(0, 2),
  })
  .map(({ info, images, categories, annotations, indent }) =>
    JSON.stringify(
      {
        info,
        // Annotations before what they are about, as some tools write them.
        annotations:
          images.length === 0
            ? []
            : annotations.map((one, i) => ({ ...one, id: i, image_id: i % images.length, category_id: 1 })),
        images: images.map((one, id) => ({ ...one, id })),
        categories: categories.map((one, i) => ({ id: i + 1, name: one })),
      },
      null,
      indent,
    ),
  );

/** What is read, or why nothing is: boxes that are drawn may seem to be in other units. */
const outcome = async (read: () => unknown): Promise<unknown> => {
  try {
    return await read();
  } catch (error) {
    return (error as Error).message;
  }
};

test("a file that is read piece by piece gives what it gives in one go", () =>
  fc.assert(
    fc.asyncProperty(coco, async (text) => {
      await writeFile(file, text);
      expect(await outcome(() => readCoco(file, { maxWhole: 10 }))).toEqual(await outcome(() => parseCoco(text, file)));
    }),
    { numRuns: 60 },
  ));

test.each([
  ["a list that is missing", '{"images": [], "annotations": []}'],
  ["null in place of an annotation", '{"images": [], "categories": [{"id": 1, "name": "a"}], "annotations": [null]}'],
  ["no categories", '{"images": [], "categories": [], "annotations": []}'],
  ["a file name that is none", '{"images": [{"id": 1, "file_name": 3}], "categories": [], "annotations": []}'],
])("%s is said with the same words", async (_, text) => {
  await writeFile(file, text);
  const whole = await readCoco(file).catch((error: Error) => error.message);
  expect(whole).toEqual(expect.any(String));
  await expect(readCoco(file, { maxWhole: 10 })).rejects.toThrow(whole as string);
});
