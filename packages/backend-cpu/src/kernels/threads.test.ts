import type { OpAttrs } from "@dfine/tensor";
import { contiguousStrides } from "@dfine/tensor";
import type { Override, View } from "@dfine/tensor/kernel";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { numbers } from "../../../tensor/test/sums.ts";
import { Runtime } from "../cpuRuntime.ts";
import { createOverrides } from "./index.ts";
import { isWideFaster } from "./tileCheck.ts";

const options = { relaxedSimd: true, memoryLimitBytes: 2 ** 30, deadlineMilliseconds: 20_000 };
const one = new Runtime({ threads: 1, ...options });
const three = new Runtime({ threads: 3, wide: isWideFaster({ relaxed: true }), ...options });
// Until the workers are up, the caller would do everything alone.
beforeAll(() => three.ready());
afterAll(() => {
  one.dispose();
  three.dispose();
});

type Input = readonly number[] | { readonly shape: readonly number[]; readonly below: number };

interface Case<Name extends keyof OpAttrs> {
  readonly op: Name;
  readonly inputs: readonly Input[];
  readonly outputs: readonly (readonly number[])[];
  readonly attrs: OpAttrs[Name];
}

const conv = { stride: [1, 1], padding: [1, 1, 1, 1], dilation: [1, 1], groups: 1 } as const;
const strided = { ...conv, stride: [2, 2] } as const;
const pointwise = { ...conv, padding: [0, 0, 0, 0] } as const;
const levels = [
  { height: 20, width: 20, points: 6 },
  { height: 10, width: 10, points: 6 },
];
const test = <Name extends keyof OpAttrs>(entry: Case<Name>): Case<Name> => entry;

// Every kernel at a size of D-FINE's that many chunks share.
const CASES = [
  test({
    op: "matmul",
    inputs: [
      [700, 128],
      [128, 200],
    ],
    outputs: [[700, 200]],
    attrs: {},
  }),
  test({
    op: "matmul",
    inputs: [
      [16, 200, 200],
      [16, 200, 16],
    ],
    outputs: [[16, 200, 16]],
    attrs: {},
  }),
  test({
    op: "conv2d",
    inputs: [
      [2, 64, 40, 40],
      [32, 64, 1, 1],
    ],
    outputs: [[2, 32, 40, 40]],
    attrs: pointwise,
  }),
  test({
    op: "conv2d",
    inputs: [
      [2, 24, 41, 40],
      [21, 24, 3, 3],
    ],
    outputs: [[2, 21, 41, 40]],
    attrs: conv,
  }),
  test({
    op: "conv2d",
    inputs: [
      [2, 3, 64, 64],
      [16, 3, 3, 3],
    ],
    outputs: [[2, 16, 32, 32]],
    attrs: strided,
  }),
  test({
    op: "conv2d",
    inputs: [
      [4, 64, 40, 40],
      [64, 1, 3, 3],
    ],
    outputs: [[4, 64, 40, 40]],
    attrs: { ...conv, groups: 64 },
  }),
  test({
    op: "conv2dAct",
    inputs: [[2, 24, 41, 40], [21, 24, 3, 3], [21]],
    outputs: [[2, 21, 41, 40]],
    attrs: { ...conv, activation: "silu" },
  }),
  test({
    op: "conv2dInputGrad",
    inputs: [
      [2, 32, 40, 40],
      [32, 64, 1, 1],
    ],
    outputs: [[2, 64, 40, 40]],
    attrs: { ...pointwise, inputSize: [40, 40] },
  }),
  test({
    op: "conv2dInputGrad",
    inputs: [
      [2, 40, 40, 41],
      [40, 24, 3, 3],
    ],
    outputs: [[2, 24, 40, 41]],
    attrs: { ...conv, inputSize: [40, 41] },
  }),
  test({
    op: "conv2d",
    inputs: [
      [2, 24, 41, 40],
      [9, 24, 3, 3],
    ],
    outputs: [[2, 9, 41, 40]],
    attrs: conv,
  }),
  test({
    op: "conv2dInputGrad",
    inputs: [
      [2, 16, 20, 20],
      [16, 32, 3, 3],
    ],
    outputs: [[2, 32, 40, 40]],
    attrs: { ...strided, inputSize: [40, 40] },
  }),
  test({
    op: "conv2dInputGrad",
    inputs: [
      [4, 64, 20, 20],
      [64, 1, 3, 3],
    ],
    outputs: [[4, 64, 40, 40]],
    attrs: { ...strided, groups: 64, inputSize: [40, 40] },
  }),
  test({
    op: "conv2dInputGrad",
    inputs: [
      [4, 64, 21, 21],
      [64, 1, 5, 5],
    ],
    outputs: [[4, 64, 41, 41]],
    attrs: { ...strided, padding: [2, 2, 2, 2], groups: 64, inputSize: [41, 41] },
  }),
  test({
    op: "conv2dWeightGrad",
    inputs: [
      [4, 16, 40, 40],
      [4, 16, 40, 40],
    ],
    outputs: [[16, 16, 3, 3]],
    attrs: { ...conv, kernelSize: [3, 3] },
  }),
  test({
    op: "conv2dWeightGrad",
    inputs: [
      [2, 128, 20, 20],
      [2, 256, 20, 20],
    ],
    outputs: [[128, 256, 1, 1]],
    attrs: { ...pointwise, kernelSize: [1, 1] },
  }),
  test({
    op: "conv2dWeightGrad",
    inputs: [
      [4, 64, 20, 20],
      [4, 64, 20, 20],
    ],
    outputs: [[64, 1, 3, 3]],
    attrs: { ...conv, groups: 64, kernelSize: [3, 3] },
  }),
  test({
    op: "maxPool2d",
    inputs: [[2, 16, 81, 81]],
    outputs: [
      [2, 16, 80, 80],
      [2, 16, 80, 80],
    ],
    attrs: { kernelSize: [2, 2], stride: [1, 1], padding: [0, 0], ceilMode: true },
  }),
  test({
    op: "maxPool2dGrad",
    inputs: [[2, 16, 80, 80], { shape: [2, 16, 80, 80], below: 6561 }],
    outputs: [[2, 16, 81, 81]],
    attrs: { inputSize: [81, 81] },
  }),
  test({ op: "indexSelect", inputs: [[4000, 128], { shape: [2000], below: 4000 }], outputs: [[2000, 128]], attrs: {} }),
  test({
    op: "indexAdd",
    inputs: [{ shape: [3000], below: 500 }, [3000, 128]],
    outputs: [[500, 128]],
    attrs: { rows: 500 },
  }),
  test({
    op: "topK",
    inputs: [[64, 2000]],
    outputs: [
      [64, 300],
      [64, 300],
    ],
    attrs: { k: 300 },
  }),
  test({
    op: "topK",
    inputs: [[4000, 33]],
    outputs: [
      [4000, 4],
      [4000, 4],
    ],
    attrs: { k: 4 },
  }),
  test({
    op: "deformableSample",
    inputs: [
      [2, 500, 8, 16],
      [2, 200, 8, 12, 2],
      [2, 200, 8, 12],
    ],
    outputs: [[2, 200, 128]],
    attrs: { method: "bilinear", levels },
  }),
  test({
    op: "deformableSampleGrad",
    inputs: [
      [2, 200, 128],
      [2, 500, 8, 16],
      [2, 200, 8, 12, 2],
      [2, 200, 8, 12],
    ],
    outputs: [
      [2, 500, 8, 16],
      [2, 200, 8, 12, 2],
      [2, 200, 8, 12],
    ],
    attrs: { method: "bilinear", levels },
  }),
  test({
    op: "scaledDotProductAttention",
    inputs: [
      [2, 4, 130, 16],
      [2, 4, 200, 16],
      [2, 4, 200, 20],
    ],
    outputs: [[2, 130, 4, 20]],
    attrs: { scale: 0.25 },
  }),
  test({
    op: "scaledDotProductAttentionGrad",
    inputs: [
      [2, 130, 4, 20],
      [2, 4, 130, 16],
      [2, 4, 200, 16],
      [2, 4, 200, 20],
      [2, 4, 130, 200],
    ],
    outputs: [
      [2, 130, 4, 16],
      [2, 200, 4, 16],
      [2, 200, 4, 20],
    ],
    attrs: { scale: 0.25 },
  }),
] as const;

const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

function view(runtime: Runtime, input: Input, seed: number): View {
  const [shape, below] = "below" in input ? [input.shape, input.below] : [input, undefined];
  const dtype = below === undefined ? "f32" : "i32";
  const buffer = runtime.alloc(size(shape), dtype);
  const data = numbers(size(shape), seed);
  if (below === undefined) runtime.heapF32().set(data, buffer.pointer / 4);
  else
    runtime.heapI32().set(
      data.map((x) => Math.floor(Math.abs(x) * below)),
      buffer.pointer / 4,
    );
  return { buffer, dtype, shape, strides: contiguousStrides(shape), offset: 0 };
}

/** The bits of every output, run after run. */
function* results<Name extends keyof OpAttrs>(runtime: Runtime, { op, inputs, outputs, attrs }: Case<Name>) {
  const override = createOverrides(runtime)[op] as Override<OpAttrs[Name]>;
  const sources = inputs.map((input, i) => view(runtime, input, i + 1));
  const targets = outputs.map((shape) => view(runtime, shape, 9));
  const variant = override.select(sources, attrs)!;
  for (;;) {
    for (const target of targets)
      runtime.heapI32().fill(-1, runtime.pointer(target) / 4, runtime.pointer(target) / 4 + size(target.shape));
    override.run({ variant, inputs: sources, outputs: targets, attrs });
    yield targets.map((target) => {
      const start = runtime.pointer(target) / 4;
      return runtime.heapI32().slice(start, start + size(target.shape));
    });
  }
}

function firstDifference(actual: readonly Int32Array[], expected: readonly Int32Array[]): string | undefined {
  for (const [output, words] of expected.entries()) {
    const at = words.findIndex((word, i) => word !== actual[output]![i]);
    if (at >= 0) return `output ${output}, element ${at}`;
  }
  return undefined;
}

describe("1 thread, and 3 whose kernels are wide where they can be, give the same bits", () => {
  it.each(CASES.map((entry) => [`${entry.op} ${JSON.stringify(entry.outputs[0])}`, entry] as const))(
    "%s",
    (_, entry) => {
      const expected = results(one, entry as Case<keyof OpAttrs>).next().value!;
      const several = results(three, entry as Case<keyof OpAttrs>);
      for (let round = 0; round < 30; round++) expect(firstDifference(several.next().value!, expected)).toBeUndefined();
    },
  );
});
