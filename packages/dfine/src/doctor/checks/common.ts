import { describe } from "../../describe.ts";
import type { Check, Finding } from "../check.ts";
import type { ImageRow, ObjectRow, Row } from "../survey.ts";
import type { Survey, SurveyPart } from "../surveyPart.ts";

/** A check that looks at one part at a time. */
export const inParts = (find: (part: SurveyPart, survey: Survey) => Iterable<Omit<Finding, "part">>): Check["find"] =>
  function* (survey) {
    for (const part of survey.parts) for (const finding of find(part, survey)) yield { ...finding, part };
  };

/** Whether a value can be an id, also one that a number cannot hold. */
export const isWhole = (value: unknown): boolean => Number.isInteger(value) || typeof value === "bigint";

/** An image as examples name it. */
export const imageName = (part: SurveyPart, { index, values }: ImageRow): string =>
  `${part.name}: ${typeof values.file_name === "string" && values.file_name !== "" ? values.file_name : `images[${index}]`}`;

/** An object as examples name it. */
export const objectName = (part: SurveyPart, { row, image }: ObjectRow): string =>
  `${image ? imageName(part, image) : part.name}: annotations[${row.index}]`;

export const boxText = ({ row }: ObjectRow): string => `bbox ${describe(row.values.bbox)}`;

export const drop = ({ row }: Finding): void => {
  row!.dropped = true;
};

export const put = ({ row, put }: Finding): void => {
  row!.values = { ...row!.values, ...put };
};

/** Drops an image and its objects. */
export function dropImage({ part, row }: Finding): void {
  row!.dropped = true;
  for (const object of part.index.objectsOf.get(row as ImageRow) ?? []) object.row.dropped = true;
}

export const withDropped = "left out, with their objects";

/** The values that an earlier one equals, with the earlier one; undefined keys are equal to none. */
export function* repeats<T>(values: Iterable<T>, key: (value: T) => unknown): Generator<readonly [later: T, first: T]> {
  const seen = new Map<unknown, T>();
  for (const value of values) {
    const own = key(value);
    if (own === undefined) continue;
    const first = seen.get(own);
    if (first === undefined) seen.set(own, value);
    else yield [value, first];
  }
}

/** Sets a box by its corners, in pixels; masks are left out, which no longer fit. */
export function setCorners(row: Row, [left, top, right, bottom]: readonly [number, number, number, number]): void {
  const { segmentation: _, keypoints: __, ...values } = row.values;
  const [width, height] = [right - left, bottom - top];
  row.inPixels = false;
  row.values = { ...values, bbox: [left, top, width, height], area: width * height };
}
