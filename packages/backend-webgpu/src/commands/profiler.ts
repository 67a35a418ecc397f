import type { DeviceClock } from "@dfine/tensor";
import { memo } from "@dfine/tensor/kernel";
import { MAP_READ, USAGE } from "../device/constants.ts";

/** How often a kernel ran so far. */
export interface KernelTime {
  /** Of the kernel and its variant or schedule: "matmul.tiled 64×64", "softmax [1×64]". */
  readonly name: string;
  readonly count: number;
  /** On the device; undefined where it offers no timestamps. */
  readonly milliseconds: number | undefined;
}

/** Twice the dispatches of a batch. */
const QUERIES = 1024;
const BYTES = QUERIES * 8;

/** Counts kernels while a trace is wanted, and times them, one pass each, where timestamps are offered. */
export class Profiler {
  readonly #device: GPUDevice;
  readonly #clock: { readonly queries: GPUQuerySet; readonly resolved: GPUBuffer } | undefined;
  readonly #times = new Map<string, { count: number; nanoseconds: number }>();
  readonly #spare: GPUBuffer[] = [];
  /** Of the dispatches of a batch, with whom they belong to. */
  #names: { readonly name: string; readonly label: string | undefined }[] = [];
  readonly #byLabel = new Map<string, number>();
  /** Whose dispatches follow. */
  #label: string | undefined;
  /** Resolves when the times of all batches so far are counted. */
  #counted: Promise<unknown> = Promise.resolve();

  constructor(device: GPUDevice, options: { timestamps: boolean }) {
    this.#device = device;
    this.#clock = options.timestamps
      ? {
          queries: device.createQuerySet({ type: "timestamp", count: QUERIES }),
          resolved: device.createBuffer({ size: BYTES, usage: USAGE.queryResolve | USAGE.copySource }),
        }
      : undefined;
  }

  /** What the pass of a dispatch must write. */
  begin(name: string): GPUComputePassTimestampWrites | undefined {
    if (!this.#clock) {
      this.#add(name, 0);
      return undefined;
    }
    const at = 2 * this.#names.push({ name, label: this.#label }) - 2;
    return { querySet: this.#clock.queries, beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 };
  }

  /** Appends the copy of the batch's times; what it returns counts them, to be called once the batch is submitted. */
  resolve(encoder: GPUCommandEncoder): (() => void) | undefined {
    const names = this.#names;
    if (!this.#clock || names.length === 0) return undefined;
    this.#names = [];
    const { queries, resolved } = this.#clock;
    const staging =
      this.#spare.pop() ?? this.#device.createBuffer({ size: BYTES, usage: USAGE.mapRead | USAGE.copyTarget });
    encoder.resolveQuerySet(queries, 0, 2 * names.length, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, 16 * names.length);
    const count = (): void => {
      const stamps = new BigUint64Array(staging.getMappedRange());
      for (const [i, { name, label }] of names.entries()) {
        const nanoseconds = Number(stamps[2 * i + 1]! - stamps[2 * i]!);
        this.#add(name, nanoseconds);
        if (label !== undefined)
          this.#byLabel.set(label, (this.#byLabel.get(label) ?? 0) + Math.max(0, nanoseconds) / 1e6);
      }
      staging.unmap();
      this.#spare.push(staging);
    };
    return () => {
      const counting = staging.mapAsync(MAP_READ).then(count, () => undefined);
      this.#counted = Promise.all([this.#counted, counting]);
    };
  }

  /** Times of ops on the device, after `flush` submits what is gathered; undefined where it offers no timestamps. */
  clock(flush: () => void): DeviceClock | undefined {
    if (!this.#clock) return undefined;
    return {
      milliseconds: this.#byLabel,
      label: (name) => {
        this.#label = name;
      },
      settle: async () => {
        flush();
        await this.#counted;
      },
    };
  }

  /** Kernels by time, or by count, once all that was submitted has run. */
  async times(): Promise<KernelTime[]> {
    await this.#counted;
    return [...this.#times]
      .map(([name, { count, nanoseconds }]) => ({
        name,
        count,
        milliseconds: this.#clock ? nanoseconds / 1e6 : undefined,
      }))
      .sort((a, b) => (b.milliseconds ?? b.count) - (a.milliseconds ?? a.count));
  }

  #add(name: string, nanoseconds: number): void {
    const sum = memo(this.#times, name, () => ({ count: 0, nanoseconds: 0 }));
    sum.count++;
    // Clocks of some devices jump backwards.
    sum.nanoseconds += Math.max(0, nanoseconds);
  }
}

/** Kernels as a table for people. */
export function kernelTable(times: readonly KernelTime[]): string {
  const total = times.reduce((sum, { milliseconds = 0 }) => sum + milliseconds, 0);
  const line = (ms: string, share: string, count: string, name: string): string =>
    `${ms.padStart(10)} ${share.padStart(6)} ${count.padStart(7)}  ${name}`;
  const rows = times.map(({ name, count, milliseconds }) =>
    milliseconds === undefined
      ? line("?", "", `${count}`, name)
      : line(milliseconds.toFixed(2), `${((100 * milliseconds) / total).toFixed(1)}%`, `${count}`, name),
  );
  return [line("ms", "share", "count", "kernel"), ...rows].join("\n");
}
