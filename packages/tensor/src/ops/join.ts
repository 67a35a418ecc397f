import { record, recordsGradient } from "../autograd/tape.ts";
import { ShapeError } from "../errors.ts";
import { checkValue, listOf, whole } from "../options.ts";
import { checkShape, normalizeAxis, type Shape, shapeText } from "../shape.ts";
import type { SliceRange, Tensor } from "../tensor.ts";
import { copyInto, filled, fillInto } from "./copy.ts";
import { ANY_DTYPE, checkInputs, checkTensor, type InputRule, inputRules } from "./inputs.ts";
import { type OpCase, register } from "./registry.ts";
import { empty } from "./result.ts";
import { slice, sliceLayout, unsqueeze } from "./view.ts";

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

const [X] = inputRules({ x: ANY_DTYPE }) as [InputRule];
const listRules = (count: number): InputRule[] =>
  Array.from({ length: count }, (_, i) => ({ ...X, name: `tensor ${i + 1}` }));

/** Joins tensors along an axis. @throws ShapeError when another axis differs */
export function concat(tensors: readonly Tensor[], axis = 0): Tensor {
  const backend = checkInputs("concat", tensors, listRules(tensors.length));
  const first = tensors[0]!;
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
  const output = empty(
    backend,
    first.shape.map((n, i) => (i === along ? sizes.reduce((a, b) => a + b) : n)),
    first.dtype,
  );
  writePieces(output, ranges, tensors);
  if (recordsGradient(tensors))
    record("concat", [output], {
      inputs: tensors,
      saved: [],
      vjp: ({ grads, needs }) => ranges.map((range, i) => (needs[i] ? slice(grads[0]!, range) : undefined)),
    });
  return output;
}

/** Writes pieces into the places that `ranges` cut from `target`; zeros where there is none. */
function writePieces(target: Tensor, ranges: readonly Ranges[], pieces: readonly (Tensor | undefined)[]): void {
  for (const [i, range] of ranges.entries()) {
    const piece = pieces[i];
    using place = target.alias({ layout: sliceLayout(target, range) });
    if (piece) copyInto(place, piece);
    else fillInto(place, 0);
  }
}

/** Joins tensors of one shape along a new axis. @throws ShapeError */
export const stack = (tensors: readonly Tensor[], axis = 0): Tensor =>
  concat(
    tensors.map((t) => unsqueeze(t, axis)),
    axis,
  );

/**
 * Cuts a tensor along an axis into pieces of the given sizes. Views, whose gradients are joined at once, where those of slices are
 * padded one by one and added. @throws ShapeError when the sizes don't add up
 */
export function split(x: Tensor, sizes: readonly number[], axis = 0): Tensor[] {
  checkTensor("split", x, X);
  checkShape("split", sizes);
  const along = normalizeAxis("split", axis, x.rank);
  if (sizes.reduce((a, b) => a + b, 0) !== x.shape[along])
    throw new ShapeError(
      `split: sizes [${sizes}] do not add up to ${x.shape[along]}, axis ${axis} of ${shapeText(x.shape)}`,
    );
  const ranges = rangesOf(sizes, along);
  const { backend, shape, dtype } = x;
  const pieces = ranges.map((range) => x.alias({ layout: sliceLayout(x, range) }));
  if (recordsGradient([x]))
    record("split", pieces, {
      inputs: [x],
      saved: [],
      vjp: ({ grads }) => {
        const dx = empty(backend, shape, dtype);
        writePieces(dx, ranges, grads);
        return [dx];
      },
    });
  return pieces;
}

function checkImages(op: string, x: Tensor): void {
  checkTensor(op, x, X);
  if (x.rank !== 4) throw new ShapeError(`${op}: takes [B, C, H, W], got ${shapeText(x.shape)}`);
}

const WIDTHS = listOf(4, 0);

/** x [B, C, H, W] with `value` around the last two axes; widths are top, left, bottom, right. */
export function pad2d(x: Tensor, widths: readonly [number, number, number, number], value = 0): Tensor {
  checkImages("pad2d", x);
  checkValue("pad2d", "widths", widths, WIDTHS);
  const [top, left, bottom, right] = widths;
  const [b, c, h, w] = x.shape as [number, number, number, number];
  const ranges = [null, null, { start: top, end: top + h }, { start: left, end: left + w }];
  const output = filled(x.backend, [b, c, h + top + bottom, w + left + right], { value, dtype: x.dtype });
  writePieces(output, [ranges], [x]);
  if (recordsGradient([x]))
    record("pad2d", [output], { inputs: [x], saved: [], vjp: ({ grads }) => [slice(grads[0]!, ranges)] });
  return output;
}

/** Repeats each pixel of x [B, C, H, W] scale × scale times. */
export function upsampleNearest(x: Tensor, scale = 2): Tensor {
  checkImages("upsampleNearest", x);
  checkValue("upsampleNearest", "scale", scale, whole(1));
  const [b, c, h, w] = x.shape as [number, number, number, number];
  return x
    .reshape([b, c, h, 1, w, 1])
    .expand([b, c, h, scale, w, scale])
    .reshape([b, c, h * scale, w * scale]);
}

register({
  name: "concat",
  kind: "op",
  rules: listRules(3),
  cases: () => [
    {
      name: "[2, 3] [2, 0] [2, 5] along 1",
      inputs: [{ shape: [2, 3] }, { shape: [2, 0] }, { shape: [2, 5] }],
      run: (...tensors) => [concat(tensors, 1)],
    },
    {
      name: "[3, 4] [17, 4] along 0",
      inputs: [{ shape: [3, 4] }, { shape: [17, 4] }],
      run: (...tensors) => [concat(tensors)],
    },
  ],
});

/** Registers an op of one tensor with its cases. */
function registerOn(name: string, cases: readonly { name: string; shape: Shape; run: OpCase["run"] }[]): void {
  const withInputs = cases.map(({ shape, ...opCase }) => ({ ...opCase, inputs: [{ shape }] }));
  register({ name, kind: "op", rules: [X], cases: () => withInputs });
}

registerOn("split", [
  { name: "[3, 7] into 2, 0, 4 and 1 along 1", shape: [3, 7], run: (x) => split(x, [2, 0, 4, 1], 1) },
  { name: "[5, 4] into 2 and 3, the second alone", shape: [5, 4], run: (x) => split(x, [2, 3]).slice(1) },
]);
registerOn("pad2d", [{ name: "four different sides", shape: [2, 3, 4, 5], run: (x) => [pad2d(x, [1, 0, 2, 3], 0.5)] }]);
registerOn("upsampleNearest", [{ name: "twice", shape: [2, 3, 4, 5], run: (x) => [upsampleNearest(x)] }]);
