import { type Epilogue, memo, shape4, type WindowAxis } from "@dfine/tensor/kernel";
import type { Windows } from "./convWindows.ts";
import { dispatchElements, elementKernel } from "./elements.ts";
import { epilogueBindings, epilogueViews, printEpilogue } from "./epilogue.ts";
import type { GpuRuntime } from "./runtime.ts";
import { each, range } from "./text.ts";

/** What of the rows' axis is in the text: neighbouring outputs share what they read. */
type Rows = Pick<WindowAxis, "taps" | "step" | "tapStep">;

/** A thread computes `count` outputs one below the other, column of the kernel by column. */
const makeKernel = ({ taps, step, tapStep }: Rows, count: number, epilogue: Epilogue | undefined) => {
  const { code, finish } = printEpilogue(epilogue, 1);
  const [outputs, tapsOfRow] = [range(count), range(taps)];
  const sums = outputs.map((j) => `sum_${j}`);
  const read = (j: number, t: number): number => j * step + t * tapStep;
  const reads = [...new Set(outputs.flatMap((j) => tapsOfRow.map((t) => read(j, t))))];
  return elementKernel({
    name: `depthwise ${taps}, step ${step}, tap ${tapStep}, ${count} rows${epilogue?.name ?? ""}`,
    bindings: { weight: "read f32", x: "read f32", c: "write f32", ...epilogueBindings(epilogue) },
    body: `
${code}
fn element(i: i32) {
  let line = i / u.columns;
  let column = i - line * u.columns;
  let plane = line / u.strips;
  let channel = plane % u.channels;
  let row = (line - plane * u.strips) * ${count};
  let y = row * ${step} + u.base_y;
  let start = u.o_x + plane * u.height * u.width;
  let left = column * u.step_x + u.base_x;
  ${each(
    reads,
    (r) => `let y_${r} = y + ${r};
  let inside_${r} = u32(y_${r}) < u32(u.height);
  let start_${r} = start + select(0, y_${r} * u.width, inside_${r});`,
  )}
  ${each(sums, (sum) => `var ${sum} = 0.0;`)}
  let first = u.o_weight + u.weight_first + channel * u.weight_channel;
  var tap = 0;
  if (tap < u.taps_x) { loop {
    let at = first + tap * u.weight_tap_x;
    let x0 = left + tap * u.tap_x;
    let inside = u32(x0) < u32(u.width);
    let from_x = select(0, x0, inside);
    ${each(tapsOfRow, (t) => `let weight_${t} = weight[at + ${t} * u.weight_tap_y];`)}
    ${each(reads, (r) => `let x_${r} = select(0.0, x[start_${r} + from_x], inside && inside_${r});`)}
    ${each(outputs, (j) => each(tapsOfRow, (t) => `sum_${j} += weight_${t} * x_${read(j, t)};`))}
    continuing { tap++; break if tap >= u.taps_x; }
  } }
  ${finish(
    "channel",
    sums.map((sum) => ({ sum })),
  )}
  let to = u.o_c + plane * u.c_plane + u.c_first + column * u.c_step_x;
  ${each(outputs, (j) => `if (row + ${j} < u.rows) { c[to + (row + ${j}) * u.c_step_y] = sum_${j}; }`)}
}`,
  });
};
const kernels = new Map<string, ReturnType<typeof makeKernel>>();

/** Convolves every channel by itself: forward, then the epilogue, or the input's gradient at one residue. */
export function depthwise(runtime: GpuRuntime, { weight, x, c, axes: [yAxis, xAxis], epilogue }: Windows): void {
  const [images, channels, height, width] = shape4(x);
  const [, , outHeight, outWidth] = shape4(c);
  const [, , kh, kw] = shape4(weight);
  const count = runtime.tuning.depthwiseRows;
  const { taps, step, tapStep } = yAxis;
  const kernel = memo(kernels, [taps, step, tapStep, count, epilogue?.name].join(), () =>
    makeKernel({ taps, step, tapStep }, count, epilogue),
  );
  const strips = Math.ceil(yAxis.outputs / count);
  dispatchElements(runtime, kernel, {
    views: { weight, x, c, ...epilogueViews(epilogue) },
    uniforms: {
      ...{ channels, height, width, rows: yAxis.outputs, columns: xAxis.outputs, strips },
      ...{ base_y: yAxis.base, step_x: xAxis.step, base_x: xAxis.base, taps_x: xAxis.taps, tap_x: xAxis.tapStep },
      ...{ weight_channel: kh * kw, weight_first: yAxis.firstTap * kw + xAxis.firstTap },
      ...{ weight_tap_y: yAxis.tapIndexStep * kw, weight_tap_x: xAxis.tapIndexStep },
      ...{ c_plane: outHeight * outWidth, c_first: yAxis.start * outWidth + xAxis.start },
      ...{ c_step_y: yAxis.outStep * outWidth, c_step_x: xAxis.outStep },
    },
    count: images * channels * strips * xAxis.outputs,
    visits: count * Math.max(1, taps * xAxis.taps),
  });
}
