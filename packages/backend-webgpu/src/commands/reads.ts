import { type Dtype, OutOfMemoryError, type TypedArray } from "@dfine/tensor";
import type { Slice } from "@dfine/tensor/kernel";
import { waitFor } from "../device/adapter.ts";
import { MAP_READ, USAGE } from "../device/constants.ts";
import type { Faults } from "../device/faults.ts";
import { blockBytes, type GpuBuffer } from "../memory/gpuBuffer.ts";
import type { CommandQueue } from "./queue.ts";

/** Reads of tensors: all sources of a call cross in one staging buffer with one synchronisation. */
export class Reads {
  readonly #device: GPUDevice;
  readonly #queue: CommandQueue;
  readonly #faults: Faults;
  readonly #spare = new Map<number, GPUBuffer[]>();
  count = 0;
  bytes = 0;

  constructor(device: GPUDevice, options: { queue: CommandQueue; faults: Faults }) {
    this.#device = device;
    this.#queue = options.queue;
    this.#faults = options.faults;
  }

  /** The copies are queued when this returns. @throws BackendError when anything before them failed */
  async read(sources: readonly Slice[]): Promise<TypedArray[]> {
    const starts: number[] = [];
    let bytes = 0;
    for (const { length } of sources) {
      starts.push(bytes);
      bytes += length * 4;
    }
    const size = blockBytes(bytes);
    const staging = this.#spare.get(size)?.pop() ?? this.#createStaging(size);
    for (const [i, { buffer, offset, length }] of sources.entries()) {
      if (length === 0) continue;
      const from = { block: (buffer as GpuBuffer).block, byteOffset: offset * 4 };
      this.#queue.copy(from, { block: { gpu: staging, batch: 0 }, byteOffset: starts[i]! }, length * 4);
    }
    this.#queue.flush();
    this.count++;
    this.bytes += bytes;
    try {
      await waitFor(staging.mapAsync(MAP_READ, 0, Math.max(bytes, 4)));
    } catch (error) {
      throw await this.#faults.explain(error);
    }
    // A kernel that was refused leaves old contents behind: nothing is handed out before all is known to be right.
    await this.#faults.settle();
    const mapped = staging.getMappedRange(0, Math.max(bytes, 4));
    const results = sources.map(({ buffer, length }, i) => copyOf(mapped, starts[i]!, { dtype: buffer.dtype, length }));
    staging.unmap();
    const spare = this.#spare.get(size);
    if (spare) spare.push(staging);
    else this.#spare.set(size, [staging]);
    return results;
  }

  #createStaging(size: number): GPUBuffer {
    const explain = (message: string) =>
      new OutOfMemoryError(`webgpu: no memory to read ${size} bytes back: ${message}`, "read less at a time");
    return this.#faults.watch("out-of-memory", explain, () =>
      this.#device.createBuffer({ label: "staging", size, usage: USAGE.mapRead | USAGE.copyTarget }),
    );
  }
}

const copyOf = (mapped: ArrayBuffer, start: number, { dtype, length }: { dtype: Dtype; length: number }): TypedArray =>
  dtype === "f32" ? new Float32Array(mapped, start, length).slice() : new Int32Array(mapped, start, length).slice();
