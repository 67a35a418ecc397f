import { GPU, type IKernelFunctionThis } from "gpu.js";
import type { Contender, HostArray, Peer } from "./work.ts";

/** `this` of a kernel; all constants are numbers. */
type Thread<Names extends string> = IKernelFunctionThis<Record<Names, number>>;

// gpu.js reads the text of these functions: they may use nothing from outside.

function matmulElement(this: Thread<"size">, a: number[], b: number[]): number {
  let sum = 0;
  for (let k = 0; k < this.constants.size; k++)
    sum += a[this.thread.y * this.constants.size + k]! * b[k * this.constants.size + this.thread.x]!;
  return sum;
}

function convElement(
  this: Thread<"perGroup" | "outPerGroup" | "kernel" | "half" | "height" | "width">,
  x: number[],
  weight: number[],
): number {
  const { perGroup, outPerGroup, kernel, half, height, width } = this.constants;
  const first = Math.floor(this.thread.z / outPerGroup) * perGroup;
  let sum = 0;
  for (let c = 0; c < perGroup; c++) {
    for (let r = 0; r < kernel; r++) {
      const row = this.thread.y + r - half;
      if (row >= 0 && row < height) {
        for (let s = 0; s < kernel; s++) {
          const column = this.thread.x + s - half;
          if (column >= 0 && column < width) {
            sum +=
              x[((first + c) * height + row) * width + column]! *
              weight[((this.thread.z * perGroup + c) * kernel + r) * kernel + s]!;
          }
        }
      }
    }
  }
  return sum;
}

function contender(start: (gpu: GPU) => (a: Float32Array, b: Float32Array) => unknown, inputs: readonly HostArray[]) {
  const gpu = new GPU({ mode: "cpu" });
  const kernel = start(gpu);
  const compute = (): unknown => kernel(inputs[0]!.data, inputs[1]!.data);
  const flat = (result: unknown): number[] =>
    (Array.isArray(result) ? result.map(flat) : [[...(result as Float32Array)]]).flat();
  return {
    implementation: "gpu.js",
    run: async () => compute(),
    outputs: async () => [flat(compute())],
    dispose: () => gpu.destroy(),
  } as const satisfies Contender;
}

/** gpu.js on the CPU, one thread: a · b, both [size, size]. */
export const gpuMatmul = (inputs: readonly HostArray[], size: number): Peer => ({
  implementation: "gpu.js",
  start: async () =>
    contender(
      (gpu) => gpu.createKernel(matmulElement as never, { constants: { size }, output: [size, size] }) as never,
      inputs,
    ),
});

/** gpu.js on the CPU, one thread: convolution of stride 1 that keeps the size, x [1, C, H, W], weight [Co, C/groups, k, k]. */
export const gpuConv = (inputs: readonly HostArray[], groups: number): Peer => ({
  implementation: "gpu.js",
  start: async () => {
    const [, , height, width] = inputs[0]!.shape as [number, number, number, number];
    const [out, perGroup, kernel] = inputs[1]!.shape as [number, number, number, number];
    const constants = { perGroup, outPerGroup: out / groups, kernel, half: (kernel - 1) / 2, height, width };
    return contender(
      (gpu) => gpu.createKernel(convElement as never, { constants, output: [width, height, out] }) as never,
      inputs,
    );
  },
});
