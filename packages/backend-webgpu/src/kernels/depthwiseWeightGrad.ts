import type { Conv2dAttrs } from "@dfine/tensor";
import { memo, shape4, type View } from "@dfine/tensor/kernel";
import { dispatchElements, elementKernel } from "./elements.ts";
import { inParts } from "./product/parts.ts";
import type { GpuRuntime } from "./runtime.ts";
import { each, range } from "./text.ts";

/** Elements that partial results may take together. */
const MOST_PARTIALS = 2 ** 20;

interface Text {
  readonly kh: number;
  readonly kw: number;
  /** Rows of the window that the next output row sees again. */
  readonly kept: number;
}

/** A thread walks columns of dy downwards with the window of x in registers, and sums each of the kernel's places. */
const makeKernel = ({ kh, kw, kept }: Text) => {
  const [rows, columns] = [range(kh), range(kw)];
  const places = rows.flatMap((r) => columns.map((s) => ({ r, s })));
  const load = (r: number): string => `
      let y_${r} = y + ${r} * u.tap_y;
      let inside_${r} = u32(y_${r}) < u32(u.height);
      let row_${r} = from_x + select(0, y_${r} * u.width, inside_${r});
      ${each(columns, (s) => `x_${r}_${s} = select(0.0, x[row_${r} + at_${s}], inside_${r} && in_${s});`)}`;
  return elementKernel({
    name: `depthwiseWeightGrad ${kh}×${kw}, ${kept} kept`,
    bindings: { dy: "read f32", x: "read f32", c: "write f32" },
    body: `
fn element(i: i32) {
  let channel = i / u.slots;
  let slot = i - channel * u.slots;
  ${each(places, ({ r, s }) => `var sum_${r}_${s} = 0.0; var x_${r}_${s} = 0.0;`)}
  for (var line = slot; line < u.lines; line += u.slots) {
    let image = line / u.columns;
    let column = line - image * u.columns;
    let plane = image * u.channels + channel;
    let from_dy = u.o_dy + plane * u.rows * u.columns + column;
    var y = u.base_y;
    let from_x = u.o_x + plane * u.height * u.width;
    ${each(
      columns,
      (s) => `let left_${s} = column * u.step_x + u.base_x + ${s} * u.tap_x;
    let in_${s} = u32(left_${s}) < u32(u.width);
    let at_${s} = select(0, left_${s}, in_${s});`,
    )}
    ${each(rows.slice(0, kept), load)}
    var row = 0;
    loop {
      let value = dy[from_dy + row * u.columns];
      ${each(rows.slice(kept), load)}
      ${each(places, ({ r, s }) => `sum_${r}_${s} += value * x_${r}_${s};`)}
      ${each(rows.slice(0, kept), (r) => each(columns, (s) => `x_${r}_${s} = x_${r + kh - kept}_${s};`))}
      y += u.step_y;
      continuing { row++; break if row >= u.rows; }
    }
  }
  let to = u.o_c + (slot * u.channels + channel) * ${kh * kw};
  ${each(places, ({ r, s }) => `c[to + ${r * kw + s}] = sum_${r}_${s};`)}
}`,
  });
};
const kernels = new Map<string, ReturnType<typeof makeKernel>>();

/** dw[channel, r, s] = Σ over images and pixels of dy · x, each channel by itself. */
export function depthwiseWeightGrad(
  runtime: GpuRuntime,
  { dy, x, dw, attrs }: { dy: View; x: View; dw: View; attrs: Conv2dAttrs },
): void {
  const [images, channels, height, width] = shape4(x);
  const [, , rows, columns] = shape4(dy);
  const [, , kh, kw] = shape4(dw);
  const { stride, padding, dilation } = attrs;
  const kept = dilation[0] === 1 ? Math.max(0, kh - stride[0]) : 0;
  const kernel = memo(kernels, [kh, kw, kept].join(), () => makeKernel({ kh, kw, kept }));
  const lines = images * columns;
  const length = channels * kh * kw;
  const aim = Math.min((lines * rows) / runtime.tuning.summedPixels, lines, MOST_PARTIALS / length);
  const slots = Math.max(1, Math.floor(aim));
  inParts(runtime, { to: dw, length, parts: slots }, (c) =>
    dispatchElements(runtime, kernel, {
      views: { dy, x, c },
      uniforms: {
        ...{ slots, lines, channels, height, width, rows, columns },
        ...{ step_y: stride[0], step_x: stride[1], base_y: -padding[0], base_x: -padding[1] },
        ...{ tap_y: dilation[0], tap_x: dilation[1] },
      },
      count: channels * slots,
      visits: Math.ceil(lines / slots) * rows * kh * kw,
    }),
  );
}
