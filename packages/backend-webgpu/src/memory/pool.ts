import { BackendError, type Dtype, type MemoryUse, OutOfMemoryError } from "@dfine/tensor";
import { memo } from "@dfine/tensor/kernel";
import { USAGE } from "../device/constants.ts";
import type { Gpu } from "../device/gpu.ts";
import { type Block, blockBytes, type GpuBuffer } from "./gpuBuffer.ts";

export interface PoolOptions extends Gpu {
  /** Most bytes of one buffer. */
  readonly maxBufferBytes: number;
  /** Most bytes of all buffers, those kept for reuse included; Infinity where unknown. */
  readonly limitBytes: number;
  /** Submits what is queued, so that blocks may be destroyed. */
  readonly flush: () => void;
  /** Calls `give` once nothing that waits to run needs a block. */
  readonly whenUnused: (block: Block, give: () => void) => void;
  /** Forgets what refers to blocks that are about to be destroyed. */
  readonly onDestroy: () => void;
}

/**
 * All blocks may take the live bytes' peak and this share of it, and `IDLE_BYTES` besides, before idle ones are given back. What
 * a loop needs at its peak is idle between its turns: bounding that alone would destroy and make it in every turn.
 */
const IDLE_SHARE = 0.5;
const IDLE_BYTES = 64 * 2 ** 20;

/**
 * Memory of a device in whole GPUBuffers by size. A freed block serves the next storage at once: commands run in order, so
 * those that read the old contents come first. Blocks are never cut up: reading one part and writing another of the same
 * buffer in one dispatch is an error in WebGPU.
 */
export class Pool {
  readonly #options: PoolOptions;
  /**
   * By bytes, ascending by id. The lowest is taken first, so that a loop meets the same blocks again, and with them the bind
   * groups it has.
   */
  readonly #idle = new Map<number, Block[]>();
  #idleBytes = 0;
  #liveBytes = 0;
  #peakBytes = 0;
  #buffers = 0;
  #created = 0;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  memory(): MemoryUse {
    return { bytes: this.#liveBytes, peakBytes: this.#peakBytes, buffers: this.#buffers };
  }

  /** Contents are unspecified. @throws OutOfMemoryError when it does not fit, with what would */
  alloc(length: number, dtype: Dtype): GpuBuffer {
    const { maxBufferBytes } = this.#options;
    const asked = length * 4;
    if (asked > maxBufferBytes)
      throw new OutOfMemoryError(
        `webgpu: a tensor of ${size(asked)} is asked for, but this device takes buffers of at most ${size(maxBufferBytes)}`,
        advice(maxBufferBytes / asked),
      );
    const bytes = Math.min(blockBytes(asked), maxBufferBytes);
    const idle = this.#idle.get(bytes)?.shift();
    if (idle) this.#idleBytes -= bytes;
    const block = idle ?? this.#create(bytes);
    this.#liveBytes += bytes;
    this.#peakBytes = Math.max(this.#peakBytes, this.#liveBytes);
    this.#buffers++;
    return { length, dtype, block, freed: false };
  }

  free(buffer: GpuBuffer): void {
    if (buffer.freed) throw new BackendError(`webgpu: a buffer of ${buffer.length} elements was freed twice`);
    buffer.freed = true;
    this.#options.whenUnused(buffer.block, () => this.#give(buffer.block));
  }

  #give(block: Block): void {
    this.#buffers--;
    this.#liveBytes -= block.bytes;
    this.#idleBytes += block.bytes;
    const list = memo(this.#idle, block.bytes, () => []);
    const next = list.findIndex(({ id }) => id > block.id);
    list.splice(next < 0 ? list.length : next, 0, block);
  }

  /** Destroys idle blocks, the largest first, until at most `keepBytes` are left. */
  trim(keepBytes: number): void {
    if (this.#idleBytes <= keepBytes) return;
    this.#options.flush();
    this.#options.onDestroy();
    for (const [bytes, list] of [...this.#idle].sort(([a], [b]) => b - a)) {
      while (list.length > 0 && this.#idleBytes > keepBytes) {
        list.pop()!.gpu.destroy();
        this.#idleBytes -= bytes;
      }
      if (list.length === 0) this.#idle.delete(bytes);
    }
  }

  #create(bytes: number): Block {
    const { device, faults, counters, limitBytes } = this.#options;
    if (this.#liveBytes + bytes > limitBytes) this.#options.flush();
    const wanted = this.#liveBytes + bytes;
    const most = Math.min(this.#peakBytes * (1 + IDLE_SHARE) + IDLE_BYTES, limitBytes);
    this.trim(Math.max(0, most - wanted));
    if (wanted > limitBytes) throw this.#outOfMemory(bytes, `the limit is ${size(limitBytes)}`);
    const id = this.#created++;
    counters.allocatedBytes += bytes;
    const explain = (message: string) => this.#outOfMemory(bytes, `the device has no more (${message.split("\n")[0]})`);
    const usage = USAGE.storage | USAGE.copySource | USAGE.copyTarget;
    const create = () => device.createBuffer({ label: `block ${id}`, size: bytes, usage });
    const gpu = faults.watch("out-of-memory", explain, create);
    return { id, bytes, gpu, batch: -1 };
  }

  #outOfMemory(asked: number, reason: string): OutOfMemoryError {
    const total = this.#liveBytes + asked;
    const fits = (Number.isFinite(this.#options.limitBytes) ? this.#options.limitBytes : this.#liveBytes) / total;
    return new OutOfMemoryError(
      `webgpu: out of memory: ${size(asked)} asked for, ${size(this.#liveBytes)} in use, ${size(this.#idleBytes)} kept for reuse, and ${reason}`,
      advice(fits),
    );
  }
}

const advice = (share: number): string =>
  `a batch or image of about ${Math.max(1, Math.min(90, Math.floor(100 * share)))} % of this one's pixels would fit`;

const size = (bytes: number): string =>
  bytes < 2 ** 20 ? `${(bytes / 2 ** 10).toFixed(1)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
