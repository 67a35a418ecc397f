import { type Conv2dAttrs, type OpAttrs, Random, type Tensor, tensor } from "@dfine/tensor";
import type { View } from "@dfine/tensor/kernel";
import { type BenchDevice, BenchError } from "./options.ts";
import { jaxOnCpu, webgpuPeers } from "./webgpuPeers.ts";
import type { HostArray, Work } from "./work.ts";

/** A gradient of a convolution [1, C, size, size] → the same, stride 1, by itself: what autograd has a backend do. */
interface GradientRow {
  readonly name: string;
  readonly gradient: "input" | "weight";
  readonly channels: number;
  readonly size: number;
  readonly kernel: number;
}

const CONV = { channels: 64, size: 160, kernel: 3 };
export const GRADIENTS: readonly GradientRow[] = [
  { name: "conv3x3_64_64_160_input_gradient", gradient: "input", ...CONV },
  { name: "conv3x3_64_64_160_weight_gradient", gradient: "weight", ...CONV },
];

const viewOf = ({ storage, dtype, shape, strides, offset }: Tensor): View => ({
  ...{ buffer: storage.buffer, dtype, shape, strides, offset },
});

/** Through the backend's hand-written kernel, beside the peers of a device. */
export function gradientWork(
  { name, gradient, channels, size, kernel }: GradientRow,
  { device }: { device: BenchDevice | undefined },
): Work {
  const random = new Random(1);
  const host = (shape: readonly number[]): HostArray => ({
    shape,
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => 2 * random.uniform() - 1),
  });
  const map = [1, channels, size, size];
  const weight = [channels, channels, kernel, kernel];
  const isInput = gradient === "input";
  const inputs = [host(map), host(isInput ? weight : map)];
  const pad = (kernel - 1) / 2;
  const task = isInput ? "conv_input_gradient" : "conv_weight_gradient";
  const attrs: Conv2dAttrs = { stride: [1, 1], padding: [pad, pad, pad, pad], dilation: [1, 1], groups: 1 };
  return {
    subject: { work: "kernel", name, size, batch: 1 },
    cost: { flops: 2 * channels * channels * (kernel * size) ** 2 },
    agreement: "values",
    peers: device === "webgpu" ? webgpuPeers(task, inputs) : device === "cpu" ? [jaxOnCpu(task, inputs)] : [],
    ours: async (backend) => {
      const tensors = inputs.map(({ data, shape }) => tensor(data, shape, { backend }));
      const outShape = isInput ? map : weight;
      const output = tensor(new Float32Array(outShape.reduce((a, b) => a * b, 1)), outShape, { backend });
      const views = tensors.map(viewOf);
      const run = <Name extends "conv2dInputGrad" | "conv2dWeightGrad">(op: Name, all: OpAttrs[Name]): void => {
        const override = backend.overrides[op];
        const variant = override?.select(views, all);
        if (!override || variant === undefined) throw new BenchError(`${name}: ${backend.name} has no kernel for it`);
        override.run({ variant, inputs: views, outputs: [viewOf(output)], attrs: all });
      };
      const compute = (): void => {
        if (isInput) run("conv2dInputGrad", { ...attrs, inputSize: [size, size] });
        else run("conv2dWeightGrad", { ...attrs, kernelSize: [kernel, kernel] });
      };
      const read = (length: number) => backend.read([{ buffer: output.storage.buffer, offset: output.offset, length }]);
      return {
        implementation: "ours",
        run: () => {
          compute();
          return read(1);
        },
        outputs: () => {
          compute();
          return read(output.size);
        },
        dispose: () => {
          for (const each of [...tensors, output]) each.dispose();
        },
      };
    },
  };
}
