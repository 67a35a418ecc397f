import { type ConvWindows, shape4 } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import { convTaps } from "./convTaps.ts";
import { depthwise } from "./depthwise.ts";
import { type Epilogue, ofChannels } from "./epilogue.ts";
import { withRows } from "./gemm.ts";
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
  const { weight, c, groups, weightStrides, isDepthwise, epilogue } = windows;
  const [, , kernelHeight, kernelWidth] = shape4(weight);
  const [, rows, height, width] = shape4(c);
  const input = paddedInput(runtime, windows);
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
    const overChannels = (list: readonly number[], step: number) => repeated(list, { count: perGroup.channels, step });
    const k = isAdjacent ? undefined : overChannels(places, weightStrides.channel * BYTES);
    const taps = overChannels(offsets, layout.plane);
    withRows(runtime, { count: perGroup.rows, pitch: weightStrides.row * BYTES, k }, (weightRows) => {
      for (let group = 0; group < groups; group++)
        convTaps(runtime, {
          from: from + group * perGroup.channels * layout.plane,
          imageBytes: channels * layout.plane,
          rowBytes: layout.row,
          taps,
          weights: weights + group * weightStrides.group * BYTES,
          rows: weightRows,
          channels: perGroup.rows,
          to: to + group * perGroup.rows * plane,
          toStrides: [rows * plane, ...toStrides],
          outputs: [count, y.outputs, x.outputs],
          epilogue: epilogue && ofChannels(epilogue, group * perGroup.rows),
        });
    });
  };
  withPadded(runtime, { input }, (padded) => {
    for (const y of axes[0].walks) for (const x of axes[1].walks) walk([y, x], padded);
  });
}
