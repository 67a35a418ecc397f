import { MAP_READ, USAGE } from "../device/constants.ts";
import { memo } from "../memo.ts";

/** What a kernel took so far. */
export interface KernelTime {
  readonly name: string;
  readonly count: number;
  readonly milliseconds: number;
}

/** Twice the dispatches of a batch. */
const QUERIES = 1024;
const BYTES = QUERIES * 8;

/** Times kernels on the device, one pass each, while a trace is wanted. Needs the feature `timestamp-query`. */
export class Profiler {
  readonly #device: GPUDevice;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #times = new Map<string, { count: number; nanoseconds: number }>();
  readonly #spare: GPUBuffer[] = [];
  readonly #pending = new Set<Promise<void>>();
  #names: string[] = [];
  #staging: GPUBuffer | undefined;

  constructor(device: GPUDevice) {
    this.#device = device;
    this.#queries = device.createQuerySet({ type: "timestamp", count: QUERIES });
    this.#resolved = device.createBuffer({ size: BYTES, usage: USAGE.queryResolve | USAGE.copySource });
  }

  begin(name: string): GPUComputePassTimestampWrites {
    const at = 2 * this.#names.push(name) - 2;
    return { querySet: this.#queries, beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 };
  }

  /** Appends the copy of the batch's times. */
  resolve(encoder: GPUCommandEncoder): void {
    if (this.#names.length === 0) return;
    this.#staging =
      this.#spare.pop() ?? this.#device.createBuffer({ size: BYTES, usage: USAGE.mapRead | USAGE.copyTarget });
    encoder.resolveQuerySet(this.#queries, 0, 2 * this.#names.length, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, this.#staging, 0, 16 * this.#names.length);
  }

  submitted(): void {
    const staging = this.#staging;
    if (!staging) return;
    const names = this.#names;
    this.#names = [];
    this.#staging = undefined;
    const adding = staging.mapAsync(MAP_READ).then(
      () => {
        const stamps = new BigUint64Array(staging.getMappedRange());
        for (const [i, name] of names.entries()) this.#add(name, Number(stamps[2 * i + 1]! - stamps[2 * i]!));
        staging.unmap();
        this.#spare.push(staging);
      },
      () => undefined,
    );
    const entry: Promise<void> = adding.then(() => void this.#pending.delete(entry));
    this.#pending.add(entry);
  }

  /** Kernels by time, once all that was submitted has run. */
  async times(): Promise<KernelTime[]> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
    return [...this.#times]
      .map(([name, { count, nanoseconds }]) => ({ name, count, milliseconds: nanoseconds / 1e6 }))
      .sort((a, b) => b.milliseconds - a.milliseconds);
  }

  #add(name: string, nanoseconds: number): void {
    const sum = memo(this.#times, name, () => ({ count: 0, nanoseconds: 0 }));
    sum.count++;
    // Clocks of some devices jump backwards.
    sum.nanoseconds += Math.max(0, nanoseconds);
  }
}
