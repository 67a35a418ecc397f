import { type ConvWindows, type Epilogue, memo, shape4, type WindowAxis } from "@dfine/tensor/kernel";
import { dispatchElements, elementKernel } from "./elements.ts";
import { epilogueBindings, epilogueViews, printEpilogue } from "./epilogue.ts";
import type { GpuRuntime } from "./runtime.ts";
import { each, range } from "./text.ts";

/** What of an axis along rows is in the text: neighbouring outputs share what they read. */
type Rows = Pick<WindowAxis, "taps" | "step" | "tapStep">;

interface Text {
  /** Axes along rows. */
  readonly rows: readonly Rows[];
  /** How many axes there are along columns. */
  readonly columns: number;
  /** Outputs that a thread computes for each pair of axes, one below the other. */
  readonly count: number;
  readonly epilogue: Epilogue | undefined;
}

const rowsText = ({ taps, step, tapStep }: Rows): string => `${taps}, step ${step}, tap ${tapStep}`;

/** A thread computes outputs of all pairs of axes around one place, column of the kernel by column. */
function makeKernel({ rows, columns, count, epilogue }: Text) {
  const { code, finish } = printEpilogue(epilogue, 1);
  const pairs = rows.flatMap((own, y) => range(columns).map((x) => printPair(own, { y, x, count, finish })));
  return elementKernel({
    name: `depthwise ${rows.map(rowsText).join("; ")}, ${columns > 1 ? `${columns} columns, ` : ""}${count} rows${epilogue?.name ?? ""}`,
    bindings: { weight: "read f32", x: "read f32", c: "write f32", ...epilogueBindings(epilogue) },
    body: `
${code}
fn element(i: i32) {
  let line = i / u.columns;
  let column = i - line * u.columns;
  let plane = line / u.strips;
  let channel = plane % u.channels;
  let row = (line - plane * u.strips) * ${count};
  let start = u.o_x + plane * u.height * u.width;
  let first = u.o_weight + channel * u.weight_channel;
  let to = u.o_c + plane * u.c_plane;
  ${each(pairs, (pair) => pair)}
}`,
  });
}

/** The outputs of an axis along rows and one along columns. */
function printPair(
  { taps, step, tapStep }: Rows,
  { y, x, count, finish }: { y: number; x: number; count: number; finish: ReturnType<typeof printEpilogue>["finish"] },
): string {
  const [outputs, tapsOfRow] = [range(count), range(taps)];
  const sums = outputs.map((j) => `sum_${j}`);
  const read = (j: number, t: number): number => j * step + t * tapStep;
  const reads = [...new Set(outputs.flatMap((j) => tapsOfRow.map((t) => read(j, t))))];
  return `if (column < u.columns_${x}) {
  let y = row * ${step} + u.base_y_${y};
  let left = column * u.step_x_${x} + u.base_x_${x};
  ${each(
    reads,
    (r) => `let y_${r} = y + ${r};
  let inside_${r} = u32(y_${r}) < u32(u.height);
  let start_${r} = start + select(0, y_${r} * u.width, inside_${r});`,
  )}
  ${each(sums, (sum) => `var ${sum} = 0.0;`)}
  var tap = 0;
  if (tap < u.taps_x_${x}) { loop {
    let at = first + u.first_y_${y} + u.first_x_${x} + tap * u.weight_tap_x_${x};
    let x0 = left + tap * u.tap_x_${x};
    let inside = u32(x0) < u32(u.width);
    let from_x = select(0, x0, inside);
    ${each(tapsOfRow, (t) => `let weight_${t} = weight[at + ${t} * u.weight_tap_y_${y}];`)}
    ${each(reads, (r) => `let x_${r} = select(0.0, x[start_${r} + from_x], inside && inside_${r});`)}
    ${each(outputs, (j) => each(tapsOfRow, (t) => `sum_${j} += weight_${t} * x_${read(j, t)};`))}
    continuing { tap++; break if tap >= u.taps_x_${x}; }
  } }
  ${finish(
    "channel",
    sums.map((sum) => ({ sum })),
  )}
  let place = to + u.start_${y} + u.start_x_${x} + column * u.c_step_x_${x};
  ${each(outputs, (j) => `if (row + ${j} < u.rows_${y}) { c[place + (row + ${j}) * u.c_step_y_${y}] = sum_${j}; }`)}
}`;
}
const kernels = new Map<string, ReturnType<typeof makeKernel>>();

/** Fields whose names end with the number of what they are of. */
const numbered = (fields: readonly Readonly<Record<string, number>>[]): Record<string, number> =>
  Object.fromEntries(fields.flatMap((own, i) => Object.entries(own).map(([name, value]) => [`${name}_${i}`, value])));

/** Convolves every channel by itself: forward, then the epilogue, or the input's gradient, all its residues at once. */
export function depthwise(
  runtime: GpuRuntime,
  { weight, x, c, axes: [yAxes, xAxes], epilogue }: ConvWindows & { readonly epilogue?: Epilogue | undefined },
): void {
  const [images, channels, height, width] = shape4(x);
  const [, , outHeight, outWidth] = shape4(c);
  const [, , kh, kw] = shape4(weight);
  const count = runtime.tuning.depthwiseRows;
  const text: Text = { rows: yAxes, columns: xAxes.length, count, epilogue };
  const kernel = memo(kernels, [yAxes.map(rowsText), xAxes.length, count, epilogue?.name].join(), () =>
    makeKernel(text),
  );
  const strips = Math.ceil(Math.max(...yAxes.map(({ outputs }) => outputs)) / count);
  const columns = Math.max(...xAxes.map(({ outputs }) => outputs));
  const taps = (axes: readonly WindowAxis[]): number => axes.reduce((sum, axis) => sum + axis.taps, 0);
  dispatchElements(runtime, kernel, {
    views: { weight, x, c, ...epilogueViews(epilogue) },
    uniforms: {
      ...{ channels, height, width, strips, columns, weight_channel: kh * kw, c_plane: outHeight * outWidth },
      ...numbered(
        yAxes.map((axis) => ({
          ...{ rows: axis.outputs, base_y: axis.base, first_y: axis.firstTap * kw },
          ...{ weight_tap_y: axis.tapIndexStep * kw, start: axis.start * outWidth, c_step_y: axis.outStep * outWidth },
        })),
      ),
      ...numbered(
        xAxes.map((axis) => ({
          ...{ columns: axis.outputs, step_x: axis.step, base_x: axis.base, taps_x: axis.taps, tap_x: axis.tapStep },
          ...{ first_x: axis.firstTap, weight_tap_x: axis.tapIndexStep },
          ...{ start_x: axis.start, c_step_x: axis.outStep },
        })),
      ),
    },
    count: images * channels * strips * columns,
    visits: count * Math.max(1, taps(yAxes) * taps(xAxes)),
  });
}
