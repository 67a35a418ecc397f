import { waitFor } from "../device/adapter.ts";
import { MAP_READ, USAGE } from "../device/constants.ts";
import type { Gpu } from "../device/gpu.ts";
import type { CommandQueue } from "./queue.ts";

/** Bytes of two timestamps. */
const BYTES = 16;

interface Clock {
  readonly querySet: GPUQuerySet;
  readonly resolved: GPUBuffer;
  readonly staging: GPUBuffer;
}

/** Times work on the device: by its own clock where it offers timestamps, else from when it is submitted until it is done. */
export class Stopwatch {
  readonly #gpu: Gpu;
  readonly #queue: CommandQueue;
  readonly #clock: Clock | undefined;
  /** Resolves when nothing is being timed. */
  #idle: Promise<unknown> = Promise.resolve();

  constructor(gpu: Gpu, queue: CommandQueue, { timestamps }: { timestamps: boolean }) {
    this.#gpu = gpu;
    this.#queue = queue;
    const { device } = gpu;
    this.#clock = timestamps
      ? {
          querySet: device.createQuerySet({ type: "timestamp", count: 2 }),
          resolved: device.createBuffer({ size: BYTES, usage: USAGE.queryResolve | USAGE.copySource }),
          staging: device.createBuffer({ size: BYTES, usage: USAGE.mapRead | USAGE.copyTarget }),
        }
      : undefined;
  }

  /** Milliseconds that the device takes for what `work` queues: dispatches alone, few enough for one batch. */
  async time(work: () => void): Promise<number> {
    const timed = this.#idle.then(() => (this.#clock ? this.#byStamps(work, this.#clock) : this.#byWaiting(work)));
    this.#idle = timed.catch(() => undefined);
    return await timed;
  }

  async #byStamps(work: () => void, { querySet, resolved, staging }: Clock): Promise<number> {
    this.#queue.stamped({ querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 }, work, (encoder) => {
      encoder.resolveQuerySet(querySet, 0, 2, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, staging, 0, BYTES);
    });
    try {
      await waitFor(staging.mapAsync(MAP_READ));
    } catch (error) {
      throw await this.#gpu.faults.explain(error);
    }
    const [begin, end] = new BigUint64Array(staging.getMappedRange()) as unknown as [bigint, bigint];
    staging.unmap();
    // Clocks of some devices jump backwards.
    return Math.max(0, Number(end - begin) / 1e6);
  }

  async #byWaiting(work: () => void): Promise<number> {
    const { queue } = this.#gpu.device;
    this.#queue.flush();
    await waitFor(queue.onSubmittedWorkDone());
    const start = performance.now();
    work();
    this.#queue.flush();
    await waitFor(queue.onSubmittedWorkDone());
    return performance.now() - start;
  }
}
