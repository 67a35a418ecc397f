import { COCO_CLASSES } from "../config/cocoClasses.ts";
import { areAnonymous } from "./classNames.ts";

/** Classes of Objects365, numbered from 0 by ascending id. */
const COUNT = 365;

/** The class of Objects365 that each of COCO's is taken from, as the official trainer has it; some only come near. */
export const OBJECTS365_OF_COCO: readonly number[] = [
  0, 46, 5, 58, 114, 55, 116, 65, 21, 40, 176, 127, 249, 24, 56, 139, 92, 78, 99, 96, 144, 295, 178, 180, 38, 39, 13,
  43, 120, 219, 148, 173, 165, 154, 137, 113, 145, 146, 204, 8, 35, 10, 88, 84, 93, 26, 112, 82, 265, 104, 141, 152,
  234, 143, 150, 97, 2, 50, 25, 75, 98, 153, 37, 73, 115, 132, 106, 61, 163, 134, 277, 81, 133, 18, 94, 30, 169, 70,
  328, 226,
];

/** So many of COCO's names must be met where the list expects them. */
const ENOUGH = 40;

/** Rows before the first class, where the classes are those of Objects365: official heads have one that is never used. */
function rowsBefore(classes: readonly string[]): number | undefined {
  const before = classes.length - COUNT;
  if (before !== 0 && before !== 1) return undefined;
  const isAlike = (entry: number, label: number) =>
    classes[entry + before]!.toLowerCase() === COCO_CLASSES[label]!.toLowerCase();
  const isKnown = areAnonymous(classes) || OBJECTS365_OF_COCO.filter(isAlike).length >= ENOUGH;
  return isKnown ? before : undefined;
}

const isCoco = (classes: readonly string[]): boolean => classes.join() === COCO_CLASSES.join();

/** Rows of a file and of a model for the same classes, where one side is Objects365 and the other COCO. */
export function objects365Pairs(
  file: readonly string[],
  model: readonly string[],
): (readonly [inFile: number, inModel: number])[] | undefined {
  const [inFile, inModel] = [rowsBefore(file), rowsBefore(model)];
  if (inFile !== undefined && isCoco(model)) return OBJECTS365_OF_COCO.map((entry, label) => [entry + inFile, label]);
  if (inModel !== undefined && isCoco(file)) return OBJECTS365_OF_COCO.map((entry, label) => [label, entry + inModel]);
  return undefined;
}
