import { memo, shape4, type WindowAxis } from "@dfine/tensor/kernel";
import type { Windows } from "./convWindows.ts";
import { dispatchElements, elementKernel } from "./elements.ts";
import { type Epilogue, epilogueBindings, epilogueName, printEpilogue } from "./epilogue.ts";
import { range } from "./product/spec.ts";
import type { GpuRuntime } from "./runtime.ts";

/** What of the rows' axis is in the text: neighbouring outputs share what they read. */
type Rows = Pick<WindowAxis, "taps" | "step" | "tapStep">;

/** A thread computes `count` outputs one below the other, column of the kernel by column. */
const makeKernel = ({ taps, step, tapStep }: Rows, count: number, epilogue: Epilogue | undefined) => {
  const { code, finish } = printEpilogue(epilogue, 1);
  const reads = [...new Set(range(count).flatMap((j) => range(taps).map((t) => j * step + t * tapStep)))];
  return elementKernel({
    name: `depthwise ${taps}, step ${step}, tap ${tapStep}, ${count} rows${epilogueName(epilogue)}`,
    bindings: { weight: "read f32", x: "read f32", c: "write f32", ...epilogueBindings(epilogue) },
    uniforms: {
      ...{ channels: "i32", height: "i32", width: "i32", rows: "i32", columns: "i32", strips: "i32" },
      ...{ base_y: "i32", step_x: "i32", base_x: "i32", taps_x: "i32", tap_x: "i32" },
      ...{ weight_channel: "i32", weight_first: "i32", weight_tap_y: "i32", weight_tap_x: "i32" },
      ...{ c_plane: "i32", c_first: "i32", c_step_y: "i32", c_step_x: "i32" },
    },
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
  ${reads
    .map(
      (read) => `let y_${read} = y + ${read};
  let inside_${read} = u32(y_${read}) < u32(u.height);
  let start_${read} = start + select(0, y_${read} * u.width, inside_${read});`,
    )
    .join("\n  ")}
  ${range(count)
    .map((j) => `var sum_${j} = 0.0;`)
    .join(" ")}
  let first = u.o_weight + u.weight_first + channel * u.weight_channel;
  var tap = 0;
  if (tap < u.taps_x) { loop {
    let at = first + tap * u.weight_tap_x;
    let x0 = left + tap * u.tap_x;
    let inside = u32(x0) < u32(u.width);
    let from_x = select(0, x0, inside);
    ${range(taps)
      .map((t) => `let weight_${t} = weight[at + ${t} * u.weight_tap_y];`)
      .join("\n    ")}
    ${reads.map((read) => `let x_${read} = select(0.0, x[start_${read} + from_x], inside && inside_${read});`).join("\n    ")}
    ${range(count)
      .flatMap((j) => range(taps).map((t) => `sum_${j} += weight_${t} * x_${j * step + t * tapStep};`))
      .join("\n    ")}
    continuing { tap++; break if tap >= u.taps_x; }
  } }
  ${finish(
    "channel",
    range(count).map((j) => `sum_${j}`),
  )}
  let to = u.o_c + plane * u.c_plane + u.c_first + column * u.c_step_x;
  ${range(count)
    .map((j) => `if (row + ${j} < u.rows) { c[to + (row + ${j}) * u.c_step_y] = sum_${j}; }`)
    .join("\n  ")}
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
  const kernel = memo(kernels, [taps, step, tapStep, count, epilogueName(epilogue)].join(), () =>
    makeKernel({ taps, step, tapStep }, count, epilogue),
  );
  const strips = Math.ceil(yAxis.outputs / count);
  dispatchElements(runtime, kernel, {
    views: { weight, x, c, ...epilogue?.views },
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
