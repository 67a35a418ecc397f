import type { Conv2dWeightGradAttrs } from "@dfine/tensor";
import {
  areImagesContiguous,
  type ConvKind,
  type ConvWindows,
  convKind,
  forwardWindows,
  type Override,
  shape4,
  type View,
  type WindowAxis,
} from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import { depthwiseWeightGrad } from "./depthwiseWeightGrad.ts";
import { gemm } from "./gemm.ts";
import { type GemmRows, type GemmSegment, RUN } from "./gemmProblem.ts";
import { tapOffsets } from "./paddedAxes.ts";
import { paddedInput, withPadded } from "./paddedInput.ts";
import { PARTIALS_SLACK, sumPartials } from "./sumPartials.ts";
import { repeated } from "./tables.ts";
import { suitsWinograd } from "./winograd.ts";
import { winogradWeightGrad } from "./winogradWeightGrad.ts";

const BYTES = 4;

function kindOf([dy, x]: readonly View[], attrs: Conv2dWeightGradAttrs): ConvKind | "winograd" {
  const weight = [dy!.shape[1]!, x!.shape[1]! / attrs.groups, ...attrs.kernelSize] as const;
  return suitsWinograd(attrs, { weight, x: shape4(x!) }) ? "winograd" : convKind(attrs, weight);
}

export const conv2dWeightGradOverride = (runtime: CpuRuntime): Override<Conv2dWeightGradAttrs> => ({
  select: (inputs, attrs) => kindOf(inputs, attrs),
  accepts: (inputs, attrs) => [false, kindOf(inputs, attrs) === "pointwise" && areImagesContiguous(inputs[1]!)],
  run({ variant, inputs, outputs, attrs }) {
    const windows = forwardWindows({ c: inputs[0]!, x: inputs[1]!, weight: outputs[0]! }, attrs);
    if (variant === "winograd") winogradWeightGrad(runtime, windows);
    else (variant === "depthwise" ? perChannel : overChannels)(runtime, windows);
  },
});

// Partial sums enough to share out the work when the weight itself is small.
const PARTS = 16;

/** Stretches of output pixels, image by image: whole rows, or parts of one. */
function pixelSegments(
  { images, ho, wo }: { images: number; ho: number; wo: number },
  { xImage, xRow, xStep, yImage }: { xImage: number; xRow: number; xStep: number; yImage: number },
): GemmSegment[] {
  const rows = Math.max(1, Math.min(ho, Math.floor(RUN / wo)));
  const length = Math.ceil(wo / Math.ceil(wo / RUN));
  const segments: GemmSegment[] = [];
  for (let image = 0; image < images; image++)
    for (let y = 0; y < ho; y += rows)
      for (let x = 0; x < wo; x += length)
        segments.push({
          a: image * xImage + y * xRow + x * xStep,
          b: image * yImage + (y * wo + x) * BYTES,
          k: Math.min(rows, ho - y) * Math.min(length, wo - x),
        });
  return segments;
}

/**
 * dWᵀ [Ci·kh·kw, Co] as a product: row (ci, ky, kx) is the padded input seen through that tap, pixel by pixel; columns are
 * dy. Of 1×1 kernels dW itself, whose rows are dy. A fixed number of partial sums, each over a run of segments, is added up
 * in order.
 */
function overChannels(runtime: CpuRuntime, { weight: dw, x, c: dy, groups, axes }: ConvWindows): void {
  const [images, co, ho, wo] = shape4(dy);
  const [, ci, kh, kw] = shape4(dw);
  // Single values are read, so strides need no phases: only the outputs' reach counts.
  const unstrided = (side: readonly WindowAxis[]): WindowAxis[] =>
    side.map((axis) => ({ ...axis, step: 1, outputs: (axis.outputs - 1) * axis.step + 1 }));
  const input = paddedInput(runtime, { x, axes: [unstrided(axes[0]), unstrided(axes[1])] }, true);
  const { layout, channels } = input;
  const outputs = co / groups;
  const yPlane = ho * wo * BYTES;
  const [xRow, xStep] = [axes[0][0]!.step * layout.row, axes[1][0]!.step * BYTES];
  // Pixels that follow each other are read as they lie.
  const isFlat = kh * kw === 1 && xStep === BYTES && xRow === wo * BYTES;
  const [m, n] = isFlat ? [outputs, ci] : [ci * kh * kw, outputs];
  const ofInputAndGradient = (a: number, b: number) => (isFlat ? { a: b, b: a } : { a, b });
  const segments = pixelSegments(
    { images, ho, wo },
    { xImage: input.isInPlace ? x.strides[0]! * BYTES : channels * layout.plane, xRow, xStep, yImage: co * yPlane },
  ).map(({ a, b, k }) => ({ ...ofInputAndGradient(a, b), k }));
  const pixelOffset = (_: number, i: number): number => Math.floor(i / wo) * xRow + (i % wo) * xStep;
  const withRows = (use: (rows: GemmRows) => void): void => {
    if (isFlat) {
      use({ kind: "matrix", pitch: yPlane });
      return;
    }
    const rowOffsets = repeated(tapOffsets(input), { count: ci, step: layout.plane });
    const tables = [rowOffsets, new Int32Array(segments[0]!.k).map(pixelOffset)];
    runtime.withTables(tables, ([rows, k]) => use({ kind: "tables", rows: rows!, k: k! }));
  };
  const parts = Math.min(segments.length, Math.max(1, Math.ceil(PARTS / (Math.ceil(m / 80) * Math.ceil(n / 64)))));
  const [py, pw] = [runtime.pointer(dy), runtime.pointer(dw)];
  const partBytes = m * n * BYTES;

  withPadded(runtime, { input, isAtOnce: true }, ({ from }) =>
    withRows((rows) => {
      const sum = (to: number): void =>
        gemm(runtime, {
          m,
          n,
          batches: Array.from({ length: groups * parts }, (_, i) => {
            const [group, part] = [Math.floor(i / parts), i % parts];
            const border = (p: number): number => Math.floor((p * segments.length) / parts);
            return {
              ...ofInputAndGradient(from + group * ci * layout.plane, py + group * outputs * yPlane),
              c: to + i * partBytes,
              segments: [border(part), border(part + 1)] as const,
            };
          }),
          segments,
          rows,
          columns: { kind: "strided", k: BYTES, column: isFlat ? layout.plane : yPlane },
          cPitch: n * BYTES,
        });
      if (isFlat && parts === 1) sum(pw);
      else
        runtime.withScratch(groups * parts * partBytes + PARTIALS_SLACK, (partials) => {
          sum(partials);
          // As one row, what is summed stays as it lies.
          const as = isFlat ? { rows: 1, columns: m * n } : { rows: m, columns: n };
          sumPartials(runtime, { from: partials, to: pw, groups, parts, ...as });
        });
    }),
  );
}

function perChannel(runtime: CpuRuntime, windows: ConvWindows): void {
  const { weight: dw, c: dy } = windows;
  const [images, channels, ho, wo] = shape4(dy);
  const input = paddedInput(runtime, windows);
  withPadded(runtime, { input, isAtOnce: true }, ({ from }) =>
    depthwiseWeightGrad(runtime, {
      dy: runtime.pointer(dy),
      from,
      planeBytes: input.layout.plane,
      rowBytes: input.layout.row,
      taps: tapOffsets(input),
      images,
      channels,
      to: runtime.pointer(dw),
      outputs: [ho, wo],
    }),
  );
}
