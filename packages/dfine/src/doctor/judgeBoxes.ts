import { fitsAs, otherReading } from "../data/cocoUnits.ts";
import { type ObjectRow, type Odd, pixelsOf, type Size, sameSize, sizesOf } from "./survey.ts";

type Numbers = readonly [number, number, number, number];

/** Pixels by which rounding may move a box beyond its image. */
const ROUNDING = 0.5;
/** Share of the boxes that must fit another reading. */
const MOST = 0.9;

/** Finds for each object of an image what is odd about its box, most telling first, so that one mistake counts once. */
export function judgeBoxes(objects: readonly ObjectRow[]): void {
  const framed = objects.flatMap((object): Framed[] => {
    if (!object.box) {
      if (object.image) object.odd = { kind: "boxes-not-numbers" };
      return [];
    }
    const frame = object.image && frameOf(object);
    if (frame && object.row.inPixels) object.odd = { kind: "boxes-pixels", corners: cornersOf(object.box) };
    return frame && !object.row.inPixels ? [{ object, box: object.box, frame }] : [];
  });
  const unit = framed.filter(
    ({ box: [x, y, w, h] }) => x >= 0 && y >= 0 && w > 0 && h > 0 && x + w <= 1.01 && y + h <= 1.01,
  );
  const broken = unit.filter(({ box }) => !box.every(Number.isInteger));
  const fractions = new Set(broken.length > 0 && unit.length === framed.length ? unit : broken);
  const rest = framed.filter((one) => !fractions.has(one));
  const reading = otherReading(rest, MOST)?.reading;
  for (const { object, box, frame } of fractions)
    object.odd = { kind: "boxes-fractions", corners: fractionCorners(box, frame) };
  for (const { object, box, frame } of rest) {
    object.odd =
      reading && fitsAs(reading, box, frame)
        ? { kind: "boxes-corners", corners: reading.corners(box), reading }
        : oddPlace(box, frame);
  }
}

interface Framed {
  readonly object: ObjectRow;
  readonly box: Numbers;
  readonly frame: Size;
}

/** The size that boxes of an image are for; undefined where it is missing or not the file's. */
function frameOf({ image }: ObjectRow): Size | undefined {
  const declared = pixelsOf(image!.values);
  const sizes = sizesOf(image!.facts);
  return declared && (sizes.length === 0 || sizes.some((size) => sameSize(size, declared))) ? declared : undefined;
}

const cornersOf = ([x, y, w, h]: Numbers): Numbers => [x, y, x + w, y + h];

const fractionCorners = ([x, y, w, h]: Numbers, { width, height }: Size): Numbers => [
  x * width,
  y * height,
  Math.min(1, x + w) * width,
  Math.min(1, y + h) * height,
];

function oddPlace([x, y, w, h]: Numbers, { width, height }: Size): Odd | undefined {
  if (!(w > 0 && h > 0)) return { kind: "boxes-degenerate" };
  const corners = [Math.max(0, x), Math.max(0, y), Math.min(width, x + w), Math.min(height, y + h)] as const;
  if (!(corners[2] > corners[0] && corners[3] > corners[1])) return { kind: "boxes-outside" };
  const out = Math.max(-x, -y, x + w - width, y + h - height);
  return out > ROUNDING ? { kind: "boxes-beyond", corners } : undefined;
}
