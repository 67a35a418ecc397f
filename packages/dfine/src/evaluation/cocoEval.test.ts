import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { slowCocoStats } from "../../test/cocoOracle.ts";
import { categoryIds, distinct, imageIds, type Row, rows, scene, truthOf } from "../../test/scenes.ts";
import type { CocoDataset } from "../data/dataset.ts";
import { DatasetError } from "../data/errors.ts";
import { cocoDataset } from "../data/parseCoco.ts";
import { evaluateDetections } from "./cocoEval.ts";
import { cocoStats, formatCocoStats } from "./cocoStats.ts";
import { type Detection, parseDetections, toCocoResults } from "./detections.ts";

const numbers = (truth: CocoDataset, detections: readonly Detection[]): number[] => {
  const { stats } = evaluateDetections(truth, detections);
  return cocoStats.map(({ name }) => stats[name]);
};

test("class-agnostic, all twelve numbers are those of data in which there is one class", () => {
  fc.assert(
    fc.property(scene, ([list, detections]) => {
      const category_id = categoryIds[0]!;
      const alike = truthOf(list.map((row) => ({ ...row, category_id })));
      const single = detections.map((one) => ({ ...one, categoryId: category_id }));
      const { stats, perCategory } = evaluateDetections(truthOf(list), detections, { classAgnostic: true });
      const expected = slowCocoStats(alike, single);
      for (const [i, { name }] of cocoStats.entries()) expect(Math.abs(stats[name] - expected[i]!)).toBeLessThan(1e-12);
      expect(perCategory.map(({ name }) => name)).toEqual(["any object"]);
    }),
  );
});

test("all twelve numbers equal those of the slow definition", () => {
  fc.assert(
    fc.property(scene, ([list, detections]) => {
      const truth = truthOf(list);
      const expected = slowCocoStats(truth, detections);
      numbers(truth, detections).forEach((value, i) => {
        expect(Math.abs(value - expected[i]!), cocoStats[i]!.name).toBeLessThan(1e-12);
      });
    }),
    { numRuns: 400 },
  );
});

test("more than 100 detections of an image and category count as their best 100", () => {
  const list: Row[] = [{ image_id: 1, category_id: 2, bbox: [10, 10, 50, 50], iscrowd: 0, share: 1 }];
  const wrong = (count: number) =>
    Array.from(
      { length: count },
      (_, i): Detection => ({ imageId: 1, categoryId: 2, bbox: [200, 200, 20, 20], score: 0.9 - i * 1e-3 }),
    );
  const right: Detection = { imageId: 1, categoryId: 2, bbox: [10, 10, 50, 50], score: 0.1 };
  expect(evaluateDetections(truthOf(list), [...wrong(99), right]).stats.AR100).toBe(1);
  expect(evaluateDetections(truthOf(list), [...wrong(100), right]).stats.AR100).toBe(0);
  expect(evaluateDetections(truthOf(list), [...wrong(9), right]).stats.AR10).toBe(1);
  expect(evaluateDetections(truthOf(list), [...wrong(10), right]).stats.AR10).toBe(0);
});

describe("invariants", () => {
  test("finding every object exactly gives AP 1 wherever there are objects", () => {
    fc.assert(
      fc.property(rows, (list) => {
        const apart = list.map((row, i) => ({
          ...row,
          iscrowd: 0,
          bbox: [(i % 4) * 100, Math.floor(i / 4) * 100, 1 + (row.bbox[2] % 90), 1 + (row.bbox[3] % 90)] as const,
          share: 1,
        }));
        const detections = apart.map(
          (row, i): Detection => ({
            imageId: row.image_id,
            categoryId: row.category_id,
            bbox: row.bbox,
            score: 0.5 + i / 100,
          }),
        );
        const result = evaluateDetections(truthOf(apart), detections);
        for (const { categoryId, ap } of result.perCategory) {
          const present = apart.some(({ category_id }) => category_id === categoryId);
          expect(ap).toBeCloseTo(present ? 1 : -1, 12);
        }
        for (const value of Object.values(result.stats))
          expect([-1, 1].some((one) => Math.abs(value - one) < 1e-12) || value > 0).toBe(true);
      }),
    );
  });

  test("the order of detections with distinct scores does not matter", () => {
    fc.assert(
      fc.property(scene.map(distinct), fc.nat(), ([list, detections], turn) => {
        const truth = truthOf(list);
        const at = detections.length === 0 ? 0 : turn % detections.length;
        const turned = [...detections.slice(at), ...detections.slice(0, at)].reverse();
        expect(numbers(truth, turned)).toEqual(numbers(truth, detections));
      }),
    );
  });

  test("a false alarm below all other scores never raises a number", () => {
    fc.assert(
      fc.property(
        scene,
        fc.constantFrom(...imageIds),
        fc.constantFrom(...categoryIds),
        ([list, detections], imageId, categoryId) => {
          const truth = truthOf(list);
          const alarm: Detection = { imageId, categoryId, bbox: [380, 380, 15, 15], score: -1 };
          const before = numbers(truth, detections);
          numbers(truth, [...detections, alarm]).forEach((value, i) => {
            expect(value).toBeLessThanOrEqual(before[i]! + 1e-12);
          });
        },
      ),
    );
  });

  test("scaling image, objects and detections leaves all but the size classes unchanged", () => {
    fc.assert(
      fc.property(scene, fc.constantFrom(0.5, 2, 4), ([list, detections], scale) => {
        const scaled = detections.map((one) => ({
          ...one,
          bbox: one.bbox.map((value) => value * scale) as unknown as Detection["bbox"],
        }));
        const before = numbers(truthOf(list), detections);
        const after = numbers(truthOf(list, scale), scaled);
        for (const [i, { name, area }] of cocoStats.entries()) {
          if (area === 0) expect(after[i], name).toBeCloseTo(before[i]!, 12);
        }
      }),
    );
  });

  test("a crowd is no miss, and detections inside it are no false alarms", () => {
    fc.assert(
      fc.property(scene, ([list, detections]) => {
        const crowd: Row = { image_id: 1, category_id: 2, bbox: [300, 300, 90, 90], iscrowd: 1, share: 1 };
        const inside: Detection = { imageId: 1, categoryId: 2, bbox: [320, 320, 30, 30], score: 2 };
        const without = list.filter(({ image_id }) => image_id !== 1);
        const others = detections.filter(({ imageId }) => imageId !== 1);
        expect(numbers(truthOf([...without, crowd]), [...others, inside, inside])).toEqual(
          numbers(truthOf(without), others),
        );
      }),
    );
  });
});

test("a category without objects is -1, and so are the numbers of an empty data set", () => {
  const result = evaluateDetections(truthOf([]), [{ imageId: 1, categoryId: 2, bbox: [0, 0, 9, 9], score: 1 }]);
  expect(new Set(Object.values(result.stats))).toEqual(new Set([-1]));
  expect(result.perCategory.map(({ ap, ap50, objects }) => [ap, ap50, objects])).toEqual([
    [-1, -1, 0],
    [-1, -1, 0],
  ]);
});

test("an annotation with id 0 can be found", () => {
  const truth = cocoDataset(
    {
      images: [{ id: 0, file_name: "0.png", width: 50, height: 50 }],
      categories: [{ id: 0, name: "a" }],
      annotations: [{ id: 0, image_id: 0, category_id: 0, bbox: [5, 5, 20, 20], area: 400, iscrowd: 0 }],
    },
    "truth",
  );
  expect(
    evaluateDetections(truth, [{ imageId: 0, categoryId: 0, bbox: [5, 5, 20, 20], score: 1 }]).stats.AP,
  ).toBeCloseTo(1, 12);
});

test("unknown categories are counted, unknown images and NaN refused", () => {
  const truth = truthOf([]);
  const one: Detection = { imageId: 1, categoryId: 2, bbox: [0, 0, 5, 5], score: 0.5 };
  expect(evaluateDetections(truth, [{ ...one, categoryId: 77 }]).unknownCategory).toBe(1);
  expect(() => evaluateDetections(truth, [{ ...one, imageId: 77 }])).toThrow(/detection 0 is of image 77/);
  expect(() => evaluateDetections(truth, [one, { ...one, score: Number.NaN }])).toThrow(/detection 1 .*score NaN/);
  expect(() => evaluateDetections(truth, [{ ...one, bbox: [0, Number.POSITIVE_INFINITY, 1, 1] }])).toThrow(
    DatasetError,
  );
});

test("results files are read back as written, and refused with the row when damaged", () => {
  const list: Detection[] = [{ imageId: 1, categoryId: 2, bbox: [0, 1.5, 5, 5], score: 0.25 }];
  expect(parseDetections(JSON.stringify(toCocoResults(list)), "d.json")).toEqual(list);
  expect(() => parseDetections("{}", "d.json")).toThrow(/d\.json: is not a list/);
  expect(() => parseDetections('[{"image_id":1,"category_id":2,"bbox":[1,2,3],"score":1}]', "d.json")).toThrow(
    /\[0\] is/,
  );
  expect(() => parseDetections("[null]", "d.json")).toThrow(DatasetError);
  expect(() => parseDetections("[", "d.json")).toThrow(/not valid JSON/);
});

test("the table has one line for each number", () => {
  const { stats } = evaluateDetections(truthOf([]), []);
  const lines = formatCocoStats(stats).split("\n");
  expect(lines.map((line) => line.split(" ")[0])).toEqual(cocoStats.map(({ name }) => name));
  expect(lines[2]).toContain("IoU=0.75      area=   all maxDets=100  -1.000");
});
