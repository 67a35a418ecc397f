import { type ConvWindows, type Epilogue, shape4 } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import { depthwise } from "./depthwise.ts";
import { boundEpilogue, ofChannels } from "./epilogue.ts";
import { gemm } from "./gemm.ts";
import { cutSummed, withRows } from "./gemmProblem.ts";
import { tapOffsets, type Walk } from "./paddedAxes.ts";
import { type PaddedImages, paddedInput, withPadded } from "./paddedInput.ts";
import { repeated } from "./tables.ts";

const BYTES = 4;

export interface WindowSums extends ConvWindows {
  readonly isDepthwise: boolean;
  readonly epilogue?: Epilogue | undefined;
}

/** Sums windows of x into c, then the epilogue. k runs over the channels of a group, then kernel rows and columns. */
export function sumWindows(runtime: CpuRuntime, windows: WindowSums): void {
  const { weight, c, groups, weightStrides, isDepthwise } = windows;
  const epilogue = boundEpilogue(runtime, windows.epilogue, c);
  const [, , kernelHeight, kernelWidth] = shape4(weight);
  const [, rows, height, width] = shape4(c);
  const input = paddedInput(runtime, windows, isDepthwise ? undefined : true);
  const { channels, layout, axes } = input;
  const [weights, target] = [runtime.pointer(weight), runtime.pointer(c)];
  const plane = height * width * BYTES;
  const perGroup = { rows: rows / groups, channels: channels / groups };

  const walk = ([y, x]: readonly [Walk, Walk], { from, first, count }: PaddedImages): void => {
    const to = target + first * rows * plane + (y.start * width + x.start) * BYTES;
    const toStrides = [plane, y.outStep * width * BYTES, x.outStep * BYTES] as const;
    const offsets = tapOffsets(input, [y, x]);
    const places = y.taps.flatMap((ty) => x.taps.map((tx) => (ty.index * kernelWidth + tx.index) * BYTES));
    if (isDepthwise) {
      depthwise(runtime, {
        from,
        planeBytes: layout.plane,
        rowBytes: layout.row,
        taps: offsets.map((offset, i) => ({ input: offset, weight: places[i]! })),
        weights,
        weightBytes: kernelHeight * kernelWidth * BYTES,
        images: count,
        channels,
        to,
        toStrides,
        outputs: [y.outputs, x.outputs],
        epilogue,
      });
      return;
    }
    const isAdjacent = weightStrides.channel === places.length && places.every((place, i) => place === i * BYTES);
    const [aStep, bStep] = [weightStrides.channel * BYTES, layout.plane];
    const segments = cutSummed(perGroup.channels, { aStep, bStep, taps: offsets.length });
    const inSegment = offsets.length === 0 ? 0 : segments[0]!.k / offsets.length;
    const overChannels = (list: readonly number[], step: number) => repeated(list, { count: inSegment, step });
    const k = isAdjacent ? undefined : overChannels(places, aStep);
    withRows(runtime, { count: perGroup.rows, pitch: weightStrides.row * BYTES, k }, (weightRows) => {
      for (let group = 0; group < groups; group++)
        gemm(runtime, {
          m: perGroup.rows,
          n: y.outputs * x.outputs,
          batches: Array.from({ length: count }, (_, image) => ({
            a: weights + group * weightStrides.group * BYTES,
            b: from + (image * channels + group * perGroup.channels) * layout.plane,
            c: to + (image * rows + group * perGroup.rows) * plane,
            segments: [0, segments.length],
          })),
          segments,
          rows: weightRows,
          columns: {
            kind: "runs",
            k: overChannels(offsets, bStep),
            length: x.outputs,
            pitch: layout.row,
            to: toStrides[1] === x.outputs * BYTES ? undefined : [toStrides[1], toStrides[2]],
          },
          cPitch: plane,
          epilogue: epilogue && ofChannels(epilogue, group * perGroup.rows),
        });
    });
  };
  withPadded(runtime, { input }, (padded) => {
    for (const y of axes[0].walks) for (const x of axes[1].walks) walk([y, x], padded);
  });
}
