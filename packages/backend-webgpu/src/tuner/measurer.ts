import type { Buffer } from "@dfine/tensor";
import type { Slice } from "@dfine/tensor/kernel";
import type { CommandQueue } from "../commands/queue.ts";
import { Stopwatch } from "../commands/stopwatch.ts";
import type { Gpu } from "../device/gpu.ts";
import type { WorkLimits } from "../device/workLimits.ts";
import { measurePace } from "../kernels/measurePace.ts";
import type { GpuRuntime } from "../kernels/runtime.ts";
import type { GpuBuffer } from "../memory/gpuBuffer.ts";
import type { Pool } from "../memory/pool.ts";
import { deviceTrack } from "./deviceTrack.ts";
import type { Tuner } from "./tuner.ts";

interface MeasurerOptions {
  readonly gpu: Gpu;
  readonly queue: CommandQueue;
  readonly runtime: GpuRuntime;
  readonly limits: WorkLimits;
  readonly pool: Pool;
  readonly read: (sources: readonly Slice[]) => Promise<ArrayLike<number>[]>;
  /** Whether the device's clock may be used. */
  readonly timestamps: boolean;
  /** Whether the limits are to be left as they are. */
  readonly isPaceKnown: boolean;
  /** Undefined where products are not to be measured. */
  readonly tuner: Tuner | undefined;
  /** Told when kernels or limits may have changed. */
  readonly onMeasured: () => void;
}

/** What measures the device's pace, once, and the products that were met since; one after the other, however many ask. */
export function measurer(options: MeasurerOptions): () => Promise<void> {
  const { gpu, queue, runtime, limits, pool, read, tuner, onMeasured } = options;
  const memory = {
    alloc: (length: number): Buffer => pool.alloc(length, "f32"),
    free: (buffer: Buffer) => pool.free(buffer as GpuBuffer),
  };
  let stopwatch: Stopwatch | undefined;
  let { isPaceKnown } = options;
  let measuring: Promise<void> = Promise.resolve();
  const measure = async (): Promise<void> => {
    if (isPaceKnown && !tuner) return;
    stopwatch ??= new Stopwatch(gpu, queue, options);
    if (!isPaceKnown) {
      isPaceKnown = true;
      limits.measured(await measurePace(runtime, { stopwatch, ...memory }));
    }
    await tuner?.measure(deviceTrack({ runtime, queue, stopwatch, ...memory, read }));
    onMeasured();
  };
  return () => {
    measuring = measuring.catch(() => undefined).then(measure);
    return measuring;
  };
}
