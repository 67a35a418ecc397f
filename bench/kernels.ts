import {
  type Backend,
  batchNorm,
  conv2d,
  deformableSample,
  gradients,
  layerNorm,
  matmul,
  Random,
  silu,
  softmax,
  type Tensor,
  tensor,
  topK,
} from "@dfine/tensor";
import { gpuConv, gpuMatmul } from "./gpuJs.ts";
import type { BenchDevice } from "./options.ts";
import { onBackend } from "./ours.ts";
import { convWeights, onnxPeers, peerFile } from "./peers.ts";
import type { Cost } from "./row.ts";
import { jaxOnCpu, webgpuPeers } from "./webgpuPeers.ts";
import type { HostArray, Peer, PeerInputs, Work } from "./work.ts";

interface Conv {
  readonly channels: number;
  readonly kernel: number;
  readonly groups: number;
}

/** A kernel: what it is measured on, and what it does. */
export interface KernelRow {
  readonly name: string;
  readonly size: number;
  readonly shapes: readonly (readonly number[])[];
  /** Of values; default −1…1. */
  readonly range?: readonly [number, number];
  readonly cost: Cost;
  readonly run: (inputs: readonly Tensor[]) => readonly Tensor[];
  /** What peers can do: a product of two matrices, or a convolution whose weight is theirs. */
  readonly peer?: "matmul" | Conv;
}

const FLOAT_BYTES = 4;
const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** A convolution [1, C, size, size] → the same, and the same with all its gradients. */
function convRows(name: string, { channels, kernel, groups }: Conv, size: number): KernelRow[] {
  const x = [1, channels, size, size];
  const weight = [channels, channels / groups, kernel, kernel];
  const flops = 2 * sizeOf(weight) * size * size;
  const conv = ([input, w]: readonly Tensor[]): Tensor => conv2d(input!, w!, { padding: (kernel - 1) / 2, groups });
  return [
    {
      name,
      size,
      shapes: [x, weight],
      cost: { flops },
      run: (inputs) => [conv(inputs)],
      peer: { channels, kernel, groups },
    },
    {
      name: `${name}_gradients`,
      size,
      shapes: [x, weight, x],
      cost: { flops: 3 * flops },
      run: ([input, w, dy]) => gradients(conv, { inputs: [input!, w!], dy: dy! }),
    },
  ];
}

/** A pass over `shapes` that writes as much as the first of them. */
function passRow(
  name: string,
  shapes: readonly (readonly number[])[],
  run: (inputs: readonly Tensor[]) => Tensor,
): KernelRow {
  const elements = [...shapes, shapes[0]!].reduce((sum, shape) => sum + sizeOf(shape), 0);
  return { name, size: shapes[0]!.at(-1)!, shapes, cost: { bytes: elements * FLOAT_BYTES }, run: (xs) => [run(xs)] };
}

const LEVELS = [
  { height: 80, width: 80, points: 3 },
  { height: 40, width: 40, points: 6 },
  { height: 20, width: 20, points: 3 },
];
const TOKENS = 8400;
const MANY = 8 * 2 ** 20;

/** All kernels that are measured; those with a peer are called as the peers' files are. */
export const KERNELS: readonly KernelRow[] = [
  {
    name: "matmul_1024",
    size: 1024,
    shapes: [
      [1024, 1024],
      [1024, 1024],
    ],
    cost: { flops: 2 * 1024 ** 3 },
    run: ([a, b]) => [matmul(a!, b!)],
    peer: "matmul",
  },
  ...convRows("conv3x3_64_64_160", { channels: 64, kernel: 3, groups: 1 }, 160),
  ...convRows("conv1x1_256_256_80", { channels: 256, kernel: 1, groups: 1 }, 80),
  ...convRows("conv5x5_depthwise_256_80", { channels: 256, kernel: 5, groups: 256 }, 80),
  passRow("silu_8388608", [[MANY]], ([x]) => silu(x!)),
  passRow("add_8388608", [[MANY], [MANY]], ([a, b]) => a!.add(b!)),
  passRow("softmax_2400_300", [[2400, 300]], ([x]) => softmax(x!)),
  passRow("layerNorm_8400_256", [[TOKENS, 256], [256], [256]], ([x, weight, bias]) =>
    layerNorm(x!, { weight: weight!, bias: bias! }),
  ),
  passRow(
    "batchNorm_relu_64_160",
    [[4, 64, 160, 160], [64], [64]],
    ([x, weight, bias]) => batchNorm(x!, { weight: weight!, bias: bias!, activation: "relu" }).output,
  ),
  { name: "topK_8400_300", size: TOKENS, shapes: [[1, TOKENS]], cost: {}, run: ([x]) => [topK(x!, 300).values] },
  {
    name: "deformable_8400_300",
    size: 300,
    shapes: [
      [1, TOKENS, 8, 32],
      [1, 300, 8, 12, 2],
      [1, 300, 8, 12],
    ],
    range: [0, 1],
    // Four taps for each sample.
    cost: { flops: 2 * 300 * 8 * 12 * 32 * 4 },
    run: ([value, locations, weights]) => [
      deformableSample(
        { value: value!, locations: locations!, weights: weights! },
        { method: "bilinear", levels: LEVELS },
      ),
    ],
  },
];

async function inputsOf(row: KernelRow, peersFolder: string | undefined): Promise<HostArray[]> {
  const random = new Random(1);
  const [low, high] = row.range ?? [-1, 1];
  const inputs = row.shapes.map(
    (shape): HostArray => ({
      shape,
      data: Float32Array.from({ length: sizeOf(shape) }, () => low + (high - low) * random.uniform()),
    }),
  );
  const file = peerFile({ folder: peersFolder, name: row.name });
  if (typeof row.peer !== "object" || file === undefined) return inputs;
  const [x, weight] = row.shapes as [readonly number[], readonly number[]];
  const weights = await convWeights(file, { x, weight, groups: row.peer.groups });
  return [inputs[0]!, { shape: weight, data: weights }];
}

/** On WebGPU those that use it too; jax-js for whole convolutions. */
function peersOf(
  { name, size, peer }: KernelRow,
  { inputs, threads, device, peersFolder }: PeerInputs & { device: BenchDevice; peersFolder: string },
): Peer[] {
  if (peer === undefined) return [];
  const task = peer === "matmul" ? "matmul" : peer.groups === 1 ? "conv" : undefined;
  if (device === "webgpu") return task === undefined ? [] : webgpuPeers(task, inputs);
  return [
    ...onnxPeers({ folder: peersFolder, name }, { inputs, threads }),
    peer === "matmul" ? gpuMatmul(inputs, size) : gpuConv(inputs, peer.groups),
    ...(task === undefined ? [] : [jaxOnCpu(task, inputs)]),
  ];
}

/** A kernel with its data. `peersFolder` undefined: without peers. */
export async function kernelWork(
  row: KernelRow,
  { peersFolder, threads, device = "cpu" }: { peersFolder: string | undefined; threads: number; device?: BenchDevice },
): Promise<Work> {
  const { name, size, cost, run } = row;
  const inputs = await inputsOf(row, device === "cpu" ? peersFolder : undefined);
  return {
    subject: { work: "kernel", name, size, batch: inputs[0]!.shape.length === 4 ? inputs[0]!.shape[0]! : 1 },
    cost,
    peers: peersFolder === undefined ? [] : peersOf(row, { inputs, threads, device, peersFolder }),
    agreement: "values",
    ours: async (backend) => ours(backend, inputs, run),
  };
}

function ours(backend: Backend, inputs: readonly HostArray[], run: KernelRow["run"]) {
  const tensors = inputs.map(({ data, shape }) => tensor(data, shape, { backend }));
  return onBackend(backend, {
    compute: () => run(tensors),
    dispose: () => {
      for (const input of tensors) input.dispose();
    },
  });
}
