import type { Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { OpCase } from "./cases.ts";
import type { Conv2dOptions } from "./conv2dOptions.ts";

interface ConvCase {
  readonly x: readonly [number, number, number, number];
  /** Co, kh, kw */
  readonly kernel: readonly [number, number, number];
  readonly options?: Conv2dOptions;
  /** x is what lies behind so many other channels. */
  readonly behind?: number;
}

// Kernels, strides and channel counts of D-FINE, at ragged sizes.
const CASES: readonly ConvCase[] = [
  { x: [2, 3, 5, 7], kernel: [4, 1, 1] },
  { x: [1, 16, 9, 17], kernel: [21, 1, 1] },
  { x: [3, 5, 3, 6], kernel: [2, 1, 1], behind: 2 },
  { x: [2, 3, 6, 5], kernel: [5, 3, 3], options: { padding: 1 } },
  { x: [1, 21, 5, 20], kernel: [21, 3, 3], options: { padding: 1 } },
  { x: [1, 3, 9, 8], kernel: [16, 3, 3], options: { padding: 1, stride: 2 } },
  { x: [1, 4, 5, 6], kernel: [2, 2, 2] },
  { x: [2, 6, 7, 5], kernel: [6, 3, 3], options: { padding: 1, groups: 6 } },
  { x: [1, 8, 8, 9], kernel: [8, 3, 3], options: { padding: 1, stride: 2, groups: 8 } },
  { x: [1, 5, 6, 17], kernel: [5, 5, 5], options: { padding: 2, groups: 5 } },
  { x: [1, 6, 6, 5], kernel: [4, 3, 3], options: { padding: [0, 1, 2, 1], groups: 2 } },
  { x: [1, 2, 7, 7], kernel: [3, 3, 3], options: { padding: 2, dilation: 2 } },
  { x: [1, 3, 9, 9], kernel: [4, 5, 5], options: { padding: 2, stride: 2 } },
  { x: [1, 64, 4, 33], kernel: [32, 3, 3], options: { padding: 1 } },
];

/** `more` gives the shapes of inputs after x and weight, by the number of output channels. */
export function convCases(
  run: (call: { x: Tensor; weight: Tensor; options: Conv2dOptions; rest: Tensor[]; index: number }) => Tensor,
  differentiable: boolean,
  more: (channels: number) => Shape[] = () => [],
): OpCase[] {
  return CASES.map(({ x, kernel: [out, kh, kw], options = {}, behind = 0 }, index) => ({
    name: `${JSON.stringify(x)} → ${out}, ${kh}×${kw} ${JSON.stringify(options)}`,
    inputs: [
      { shape: [x[0], behind + x[1], x[2], x[3]] },
      { shape: [out, x[1] / (options.groups ?? 1), kh, kw] },
      ...more(out).map((shape) => ({ shape })),
    ],
    run: (input, weight, ...rest) => {
      const channels = behind === 0 ? input! : input!.slice([null, { start: behind }]);
      return [run({ x: channels, weight: weight!, options, rest, index })];
    },
    differentiable,
  }));
}
