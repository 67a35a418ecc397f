import type { Buffer } from "@dfine/tensor";
import { Fusion, inOrder, type Kernel, type Launch, type Order, type Overrides } from "@dfine/tensor/kernel";
import type { CommandQueue } from "../commands/queue.ts";
import type { Limits } from "../device/workLimits.ts";
import { addedRows } from "../folds/addedRows.ts";
import { Folds } from "../folds/folds.ts";
import type { GpuBuffer } from "../memory/gpuBuffer.ts";
import type { Pool } from "../memory/pool.ts";
import type { Launcher } from "../print/launch.ts";

interface WaitingOptions {
  readonly queue: CommandQueue;
  readonly pool: Pool;
  readonly limits: Pick<Limits, "visits">;
  readonly maxBindings: number;
  readonly barriers: boolean;
  readonly launcher: Launcher;
}

/**
 * What was asked for and does not run yet, since more may come that is computed with it. From first to last, a command meets
 * - sums of parts (`Folds`), which wait until somebody sees that they were not computed;
 * - the last launch and the product before it (`Fusion`), which wait for the very next command;
 * - dispatches (`Held`, in the queue), which wait for others that need nothing of them.
 */
export class Waiting {
  readonly sums: Folds;
  readonly #fusion: Fusion;
  readonly #queue: CommandQueue;

  constructor({ launcher, ...options }: WaitingOptions) {
    const { queue, maxBindings, barriers } = options;
    this.#queue = queue;
    this.#fusion = new Fusion({
      ...launcher,
      ...{ free: (buffer) => this.sums.free(buffer), blockOf: (buffer) => (buffer as GpuBuffer).block },
      ...{ maxBindings, repeats: barriers },
    });
    this.sums = new Folds({ ...options, before: () => this.#fusion.flush() });
  }

  /** Runs a generated kernel. */
  launch(kernel: Kernel, launch: Launch): void {
    this.sums.beforeLaunch(kernel, launch);
    const sums = addedRows(kernel, launch);
    if (sums) for (const sum of sums) this.sums.add(sum);
    else this.#fusion.run(kernel, launch);
  }

  /** Hand-written kernels behind what waits. */
  inOrder(overrides: Overrides, isProduct: Order["isProduct"]): Overrides {
    return inOrder(overrides, this.#fusion, { isProduct, before: (call) => this.sums.beforeCall(call) });
  }

  /** Gives memory back, once nothing that waits needs it. */
  free(buffer: Buffer): void {
    this.#fusion.free(buffer);
  }

  /** Gives the queue what waits; there dispatches may still wait for each other. */
  settle(): void {
    this.sums.settle();
  }

  /** Has everything run at once from now on. */
  end(): void {
    this.#fusion.end();
    this.sums.end();
    this.#queue.endHolding();
  }
}
