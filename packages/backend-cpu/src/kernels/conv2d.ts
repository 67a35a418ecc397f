import type { Conv2dActAttrs, Conv2dAttrs } from "@dfine/tensor";
import { convKind, type Override, type OverrideCall, shape4, type View } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import { convTaps } from "./convTaps.ts";
import { depthwise } from "./depthwise.ts";
import { type Epilogue, ofChannels } from "./epilogue.ts";
import { cutSummed, gemm } from "./gemm.ts";
import { forwardAxis, tapOffsets } from "./paddedAxes.ts";
import { paddedInput, withPadded } from "./paddedInput.ts";

const BYTES = 4;

export const conv2dOverride = (runtime: CpuRuntime): Override<Conv2dAttrs> => ({
  select: ([, weight], attrs) => convKind(attrs, shape4(weight!)),
  run: (call) => convolve(runtime, call, undefined),
});

export const conv2dActOverride = (runtime: CpuRuntime): Override<Conv2dActAttrs> => ({
  select: ([, weight], attrs) => convKind(attrs, shape4(weight!)),
  run(call) {
    const addresses = call.inputs.slice(2).map((view) => runtime.pointer(view));
    convolve(runtime, call, { activation: call.attrs.activation, addresses });
  },
});

function convolve(
  runtime: CpuRuntime,
  { variant, inputs, outputs, attrs }: OverrideCall<Conv2dAttrs>,
  epilogue: Epilogue | undefined,
): void {
  const operands = { x: inputs[0]!, weight: inputs[1]!, y: outputs[0]!, epilogue };
  if (variant === "pointwise") pointwise(runtime, operands);
  else windows(runtime, { ...operands, attrs, isDepthwise: variant === "depthwise" });
}

interface Operands {
  readonly x: View;
  readonly weight: View;
  readonly y: View;
  readonly epilogue: Epilogue | undefined;
}

/** A product [Co, Ci] · [Ci, H·W] for each image. */
function pointwise(runtime: CpuRuntime, { x, weight, y, epilogue }: Operands): void {
  const [images, channels, height, width] = shape4(x);
  const [m, n] = [weight.shape[0]!, height * width];
  const [px, pw, py] = [x, weight, y].map((view) => runtime.pointer(view)) as [number, number, number];
  const segments = cutSummed(channels, { aStep: BYTES, bStep: n * BYTES });
  gemm(runtime, {
    m,
    n,
    batches: Array.from({ length: images }, (_, i) => ({
      a: pw,
      b: px + i * channels * n * BYTES,
      c: py + i * m * n * BYTES,
      segments: [0, segments.length],
    })),
    segments,
    rows: { kind: "matrix", pitch: channels * BYTES },
    bStrides: [n * BYTES, BYTES],
    cPitch: n * BYTES,
    epilogue,
  });
}

/** Sums over windows of padded input; k runs over input channels, then kernel rows and columns. */
function windows(
  runtime: CpuRuntime,
  { x, weight, y, epilogue, attrs, isDepthwise }: Operands & { attrs: Conv2dAttrs; isDepthwise: boolean },
): void {
  const [images, channels, height, width] = shape4(x);
  const [co, ci, kh, kw] = shape4(weight);
  const [, , ho, wo] = shape4(y);
  const axes = [
    forwardAxis(attrs, { side: 0, kernel: kh, outputs: ho }),
    forwardAxis(attrs, { side: 1, kernel: kw, outputs: wo }),
  ] as const;
  const source = { from: runtime.pointer(x), images, channels, size: [height, width] } as const;
  const input = paddedInput(source, axes, wo % 4 === 0);
  const { layout } = input;
  const offsets = tapOffsets(axes, layout);
  const taps = Array.from({ length: ci }, (_, c) => offsets.map((offset) => c * layout.plane + offset)).flat();
  const [pw, py] = [runtime.pointer(weight), runtime.pointer(y)];
  const planeBytes = ho * wo * BYTES;
  const outputs = co / attrs.groups;
  withPadded(runtime, { input }, ({ from, first, count }) => {
    const to = py + first * co * planeBytes;
    if (isDepthwise) {
      depthwise(runtime, {
        from,
        planeBytes: layout.plane,
        rowBytes: layout.row,
        taps: offsets.map((offset, i) => ({ input: offset, weight: i * BYTES })),
        weights: pw,
        weightBytes: kh * kw * BYTES,
        images: count,
        channels,
        to,
        toStrides: [planeBytes, wo * BYTES, BYTES],
        outputs: [ho, wo],
        epilogue,
      });
      return;
    }
    for (let group = 0; group < attrs.groups; group++)
      convTaps(runtime, {
        from: from + group * ci * layout.plane,
        imageBytes: channels * layout.plane,
        rowBytes: layout.row,
        taps,
        weights: pw + group * outputs * taps.length * BYTES,
        rows: { kind: "matrix", pitch: taps.length * BYTES },
        channels: outputs,
        to: to + group * outputs * planeBytes,
        toStrides: [co * planeBytes, planeBytes, wo * BYTES, BYTES],
        outputs: [count, ho, wo],
        epilogue: epilogue && ofChannels(epilogue, group * outputs),
      });
  });
}
