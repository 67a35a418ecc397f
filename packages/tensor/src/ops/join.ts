import { liesAt } from "../autograd/places.ts";
import { record } from "../autograd/tape.ts";
import type { Backend } from "../backend.ts";
import { ArgumentError, ShapeError } from "../errors.ts";
import { anyNumber, axisOption, list, listOf, sizesFrom, thing, whole } from "../options.ts";
import { scope } from "../scope.ts";
import { normalizeAxis, shapeText } from "../shape.ts";
import type { SliceRange, Tensor } from "../tensor.ts";
import { copyAll, fillInto } from "./copy.ts";
import { defineCall } from "./defineCall.ts";
import { ANY, checkInputs, type InputRule, inputRules, type Takes } from "./inputs.ts";
import { tellLayout, unrecorded } from "./recorder.ts";
import { empty, sliceLayout } from "./result.ts";
import { slice, unsqueeze } from "./view.ts";

type Ranges = readonly (SliceRange | null)[];

/** Ranges that cut `axis` into consecutive pieces. */
function rangesOf(sizes: readonly number[], axis: number): Ranges[] {
  let start = 0;
  return sizes.map((size) => {
    const range = { start, end: start + size };
    start += size;
    return [...new Array<null>(axis).fill(null), range];
  });
}

const [X] = inputRules({ x: ANY }) as [InputRule];
const TAKES = { tensors: list(thing), "axis?": { ...axisOption, examples: [0] as const } };

/** The first of `tensors`, which must be alike but for their shapes, and where they live. */
function checkTensors(op: string, tensors: readonly Tensor[]): { first: Tensor; backend: Backend } {
  const rules = tensors.map((_, i) => ({ ...X, name: `tensor ${i + 1}` }));
  const backend = checkInputs(op, tensors, rules);
  if (!backend) throw new ArgumentError(`${op}: tensors is an empty list; there must be at least one`);
  return { first: tensors[0]!, backend };
}

/** Joins tensors along an axis. @throws ShapeError when another axis differs */
export const concat = defineCall("concat", TAKES, (tensors: readonly Tensor[], axis: number = 0): Tensor => {
  const { first, backend } = checkTensors("concat", tensors);
  const along = normalizeAxis("concat", axis, first.rank);
  const stranger = tensors.find(
    (t) => t.rank !== first.rank || t.shape.some((n, i) => i !== along && n !== first.shape[i]),
  );
  if (stranger)
    throw new ShapeError(
      `concat: ${shapeText(first.shape)} and ${shapeText(stranger.shape)} differ in more than axis ${axis}`,
    );
  const sizes = tensors.map((t) => t.shape[along]!);
  const ranges = rangesOf(sizes, along);
  const shape = first.shape.map((n, i) => (i === along ? sizes.reduce((a, b) => a + b) : n));
  const output = empty(backend, shape, first.dtype);
  writePieces(output, ranges, tensors);
  tellLayout("concat", { axis: along }, { inputs: tensors, outputs: [output] });
  record("concat", [output], {
    inputs: tensors,
    vjp: ({ grads, needs }) => ranges.map((range, i) => (needs[i] ? slice(grads[0]!, range) : undefined)),
  });
  return output;
});

/** Writes pieces, unless they lie there, into the places that `ranges` cut from `target`; zeros where there is none. */
function writePieces(target: Tensor, ranges: readonly Ranges[], pieces: readonly (Tensor | undefined)[]): void {
  scope("pieces", () => {
    const copies: (readonly [place: Tensor, piece: Tensor])[] = [];
    for (const [i, range] of ranges.entries()) {
      const piece = pieces[i];
      const place = target.alias({ layout: sliceLayout(target, range) });
      if (!piece) fillInto(place, 0);
      else if (!liesAt(piece, place)) copies.push([place, piece]);
    }
    copyAll(copies);
  });
}

/** Joins tensors of one shape along a new axis. @throws ShapeError */
export const stack = defineCall("stack", TAKES, (tensors: readonly Tensor[], axis: number = 0): Tensor => {
  checkTensors("stack", tensors);
  const rows = tensors.map((t) => unsqueeze(t, axis));
  return concat(rows, axis);
});

const SPLIT: Takes = { x: ANY, sizes: sizesFrom(0), "axis?": axisOption };

/**
 * Cuts a tensor along an axis into pieces of the given sizes. Views, whose gradients are joined at once, where those of slices are
 * padded one by one and added. @throws ShapeError when the sizes don't add up
 */
export const split = defineCall("split", SPLIT, (x: Tensor, sizes: readonly number[], axis: number = 0): Tensor[] => {
  const along = normalizeAxis("split", axis, x.rank);
  if (sizes.reduce((a, b) => a + b, 0) !== x.shape[along])
    throw new ShapeError(
      `split: sizes [${sizes}] do not add up to ${x.shape[along]}, axis ${axis} of ${shapeText(x.shape)}`,
    );
  const ranges = rangesOf(sizes, along);
  const { backend, shape, dtype } = x;
  const pieces = ranges.map((range) => x.alias({ layout: sliceLayout(x, range) }));
  tellLayout("split", { axis: along }, { inputs: [x], outputs: pieces });
  record("split", pieces, {
    inputs: [x],
    parts: {
      partOf: (place, i) => place.alias({ layout: sliceLayout(place, ranges[i]!) }),
      whole: () => empty(backend, shape, dtype),
    },
    vjp: ({ grads, into }) => {
      const dx = into[0] ?? empty(backend, shape, dtype);
      writePieces(dx, ranges, grads);
      return [dx];
    },
  });
  return pieces;
});

/** x [B, C, H, W] with `value` around the last two axes; widths are top, left, bottom, right. */
export const pad2d = defineCall(
  "pad2d",
  { "x [B, C, H, W]": ANY, widths: listOf(4, 0), "value?": anyNumber },
  (x: Tensor, widths: readonly [number, number, number, number], value: number = 0): Tensor => {
    const [top, left, bottom, right] = widths;
    const [b, c, h, w] = x.shape as [number, number, number, number];
    const [above, rows, below] = rangesOf([top, h, bottom], 2) as [Ranges, Ranges, Ranges];
    const [before, columns, after] = rangesOf([left, w, right], 3) as [Ranges, Ranges, Ranges];
    const within = (side: Ranges): Ranges => [...rows, side[3]!];
    const ranges = within(columns);
    const output = empty(x.backend, [b, c, h + top + bottom, w + left + right], x.dtype);
    writePieces(output, [ranges], [x]);
    for (const side of [above, below, within(before), within(after)]) {
      using border = output.alias({ layout: sliceLayout(output, side) });
      if (border.size > 0) fillInto(border, value);
    }
    tellLayout("pad2d", { widths, value }, { inputs: [x], outputs: [output] });
    record("pad2d", [output], { inputs: [x], vjp: ({ grads }) => [slice(grads[0]!, ranges)] });
    return output;
  },
);

const UPSAMPLE_NEAREST: Takes = { "x [B, C, H, W]": ANY, "scale?": whole(1) };

/** Repeats each pixel of x [B, C, H, W] scale × scale times. */
export const upsampleNearest = defineCall("upsampleNearest", UPSAMPLE_NEAREST, (x: Tensor, scale: number = 2) => {
  const [b, c, h, w] = x.shape as [number, number, number, number];
  const output = unrecorded(() =>
    x
      .reshape([b, c, h, 1, w, 1])
      .expand([b, c, h, scale, w, scale])
      .reshape([b, c, h * scale, w * scale]),
  );
  tellLayout("upsampleNearest", { scale }, { inputs: [x], outputs: [output] });
  return output;
});
