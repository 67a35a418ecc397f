import { decodeFloat32, type SafetensorsEntry } from "@dfine/nn";
import { isFloat } from "../tensorFile.ts";

type Size = readonly [height: number, width: number];

/** Sides of inputs that are tried, pixels. */
const SIDES = Array.from({ length: 128 }, (_, i) => 32 * (i + 1));
/** Parts of a cell by which a centre may be off: numbers of 16 bits stay well below. */
const OFF = 0.25;

/**
 * The input that the anchors [1, tokens, 4] of a file were made for: it has as many cells, and its anchors lie in their
 * middles. `strides` are the levels', finest first. Undefined where no size fits, or several do.
 */
export function inputSizeOf(anchors: SafetensorsEntry, strides: readonly number[]): Size | undefined {
  const [, tokens = 0] = anchors.shape;
  const values =
    isFloat(anchors) && anchors.shape.join() === `1,${tokens},4` ? decodeFloat32(anchors) : new Float32Array();
  const sameCount = SIDES.flatMap((height) => SIDES.map((width): Size => [height, width])).filter(
    (size) => levelsOf(size, strides).reduce((sum, { rows, columns }) => sum + rows * columns, 0) === tokens,
  );
  const fitting = sameCount.filter((size) => liesInMiddles(values, levelsOf(size, strides)));
  // Without one finite anchor the count alone speaks, and square inputs are the usual ones.
  return fitting.length === 1 ? fitting[0] : fitting.find(([height, width]) => height === width);
}

const levelsOf = ([height, width]: Size, strides: readonly number[]) =>
  strides.map((stride) => ({ rows: Math.floor(height / stride), columns: Math.floor(width / stride) }));

/** Whether all anchors that are finite lie in the middles of their cells; they are centres through the inverse sigmoid. */
function liesInMiddles(values: Float32Array, levels: readonly { rows: number; columns: number }[]): boolean {
  const isNear = (value: number, cell: number, cells: number) =>
    !Number.isFinite(value) || Math.abs(cells / (1 + Math.exp(-value)) - (cell + 0.5)) < OFF;
  let at = 0;
  for (const { rows, columns } of levels)
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns && at < values.length; column++, at += 4)
        if (!isNear(values[at]!, column, columns) || !isNear(values[at + 1]!, row, rows)) return false;
  return true;
}
