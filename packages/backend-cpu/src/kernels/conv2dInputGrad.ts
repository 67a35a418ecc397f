import type { Conv2dInputGradAttrs } from "@dfine/tensor";
import { convKind, type Override, shape4, type View } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import { convTaps } from "./convTaps.ts";
import { depthwise } from "./depthwise.ts";
import { cutSummed, gemm } from "./gemm.ts";
import { type Axis, inputGradAxes, tapOffsets } from "./paddedAxes.ts";
import { paddedInput, withPadded } from "./paddedInput.ts";
import { steps, withTables } from "./tables.ts";

const BYTES = 4;

export const conv2dInputGradOverride = (runtime: CpuRuntime): Override<Conv2dInputGradAttrs> => ({
  select: ([, weight], attrs) => convKind(attrs, shape4(weight!)),
  run({ variant, inputs, outputs, attrs }) {
    const operands = { dy: inputs[0]!, weight: inputs[1]!, dx: outputs[0]! };
    if (variant === "pointwise") pointwise(runtime, operands);
    else windows(runtime, { ...operands, attrs, isDepthwise: variant === "depthwise" });
  },
});

interface Operands {
  readonly dy: View;
  readonly weight: View;
  readonly dx: View;
}

/** A product [Ci, Co] · [Co, H·W] for each image. */
function pointwise(runtime: CpuRuntime, { dy, weight, dx }: Operands): void {
  const [images, co, height, width] = shape4(dy);
  const [m, n] = [weight.shape[1]!, height * width];
  const [py, pw, px] = [dy, weight, dx].map((view) => runtime.pointer(view)) as [number, number, number];
  const segments = cutSummed(co, { aStep: m * BYTES, bStep: n * BYTES });
  withTables(runtime, [steps(m, BYTES), steps(segments[0]!.k, m * BYTES)], ([rows, k]) =>
    gemm(runtime, {
      m,
      n,
      batches: Array.from({ length: images }, (_, i) => ({
        a: pw,
        b: py + i * co * n * BYTES,
        c: px + i * m * n * BYTES,
        segments: [0, segments.length],
      })),
      segments,
      rows: { kind: "tables", rows: rows!, k: k! },
      bStrides: [n * BYTES, BYTES],
      cPitch: n * BYTES,
    }),
  );
}

/** A stride-1 convolution of dy for each residue of the position modulo the stride; k runs over output channels first. */
function windows(
  runtime: CpuRuntime,
  { dy, weight, dx, attrs, isDepthwise }: Operands & { attrs: Conv2dInputGradAttrs; isDepthwise: boolean },
): void {
  const [images, co, ho, wo] = shape4(dy);
  const [, ci, kh, kw] = shape4(weight);
  const [, channels, height, width] = shape4(dx);
  const rowAxes = inputGradAxes(attrs, { side: 0, kernel: kh });
  const columnAxes = inputGradAxes(attrs, { side: 1, kernel: kw });
  const source = { from: runtime.pointer(dy), images, channels: co, size: [ho, wo] } as const;
  const isWithinRows = columnAxes.every(({ outputs }) => outputs % 4 === 0);
  const input = paddedInput(source, [rowAxes[0]!, columnAxes[0]!], isWithinRows);
  const { layout } = input;
  const [pw, px] = [runtime.pointer(weight), runtime.pointer(dx)];
  const planeBytes = height * width * BYTES;
  const toStrides = [planeBytes, attrs.stride[0] * width * BYTES, attrs.stride[1] * BYTES] as const;
  const kernelBytes = kh * kw * BYTES;

  withPadded(runtime, { input }, ({ from, first, count }) => {
    const residue = (y: Axis, x: Axis): void => {
      const to = px + first * channels * planeBytes + (y.start * width + x.start) * BYTES;
      const offsets = tapOffsets([y, x], layout);
      const places = y.taps.flatMap((ty) => x.taps.map((tx) => (ty.index * kw + tx.index) * BYTES));
      if (isDepthwise) {
        depthwise(runtime, {
          from,
          planeBytes: layout.plane,
          rowBytes: layout.row,
          taps: offsets.map((offset, i) => ({ input: offset, weight: places[i]! })),
          weights: pw,
          weightBytes: kernelBytes,
          images: count,
          channels,
          to,
          toStrides,
          outputs: [y.outputs, x.outputs],
        });
        return;
      }
      const perGroup = co / attrs.groups;
      const overChannels = (list: readonly number[], step: number): number[] =>
        Array.from({ length: perGroup }, (_, c) => list.map((offset) => c * step + offset)).flat();
      withTables(runtime, [steps(ci, kernelBytes), overChannels(places, ci * kernelBytes)], ([rows, k]) => {
        for (let group = 0; group < attrs.groups; group++)
          convTaps(runtime, {
            from: from + group * perGroup * layout.plane,
            imageBytes: co * layout.plane,
            rowBytes: layout.row,
            taps: overChannels(offsets, layout.plane),
            weights: pw + group * perGroup * ci * kernelBytes,
            rows: { kind: "tables", rows: rows!, k: k! },
            channels: ci,
            to: to + group * ci * planeBytes,
            toStrides: [channels * planeBytes, ...toStrides],
            outputs: [count, y.outputs, x.outputs],
          });
      });
    };
    for (const y of rowAxes) for (const x of columnAxes) residue(y, x);
  });
}
