import { describe, expect, test } from "vitest";
import { COCO_CLASSES } from "../config/cocoClasses.ts";
import { anonymousNames } from "./classNames.ts";
import { OBJECTS365_OF_COCO, objects365Pairs } from "./objects365.ts";

/** Objects365's names where COCO has the same, others elsewhere, in a head with so many rows before them. */
function objects365(before: number): string[] {
  const names = Array.from({ length: 365 + before }, (_, i) => `Thing ${i}`);
  for (const [label, entry] of OBJECTS365_OF_COCO.entries())
    names[entry + before] = COCO_CLASSES[label]!.replace(/^./, (letter) => letter.toUpperCase());
  return names;
}

describe("between Objects365 and COCO", () => {
  test("every class of COCO has a class of its own", () => {
    expect(new Set(OBJECTS365_OF_COCO).size).toBe(80);
    expect(OBJECTS365_OF_COCO.every((entry) => entry >= 0 && entry < 365)).toBe(true);
  });

  // The official head has 366 rows, for ids from 1 on: Person is 1, Bicycle 47, Toothbrush 227.
  test.each([
    ["a head of 366 rows without names", anonymousNames(366), 1],
    ["a head of 366 rows", objects365(1), 1],
    ["a head of 365 rows without names", anonymousNames(365), 0],
    ["a head of 365 rows", objects365(0), 0],
  ])("%s", (_, classes, before) => {
    const pairs = objects365Pairs(classes, COCO_CLASSES)!;
    expect(pairs).toHaveLength(80);
    expect([pairs[0], pairs[1], pairs[79]]).toEqual([
      [before, 0],
      [before + 46, 1],
      [before + 226, 79],
    ]);
    expect(objects365Pairs(COCO_CLASSES, classes)).toEqual(pairs.map(([inFile, inModel]) => [inModel, inFile]));
  });

  test.each([
    ["other classes of the same number", Array.from({ length: 365 }, (_, i) => `thing ${i}`), COCO_CLASSES],
    ["another number", anonymousNames(367), COCO_CLASSES],
    ["fewer classes than COCO's", anonymousNames(366), COCO_CLASSES.slice(1)],
  ])("nothing is taken from %s", (_, file, model) => {
    expect(objects365Pairs(file, model)).toBeUndefined();
  });
});
