import type { Order } from "../memory/tableRing.ts";
import type { Job } from "../runtime.ts";
import type { LoadedKernel } from "../wasm/instances.ts";

/** What runs launches, in the order in which they come. */
export interface Launcher extends Order {
  /** What has failed, if anything has: no results can be trusted any more. */
  readonly failure: string | undefined;
  /** Milliseconds for which the caller had nothing to do but wait for other threads. */
  readonly waited: number;
  /** Resolves once all threads run. @throws BackendError when they cannot */
  ready(): Promise<void>;
  /** Has a launch run after those before it; `grain` is a whole number. @throws BackendError naming the kernel that failed, this or an earlier one */
  queue(kernel: LoadedKernel, job: Job): void;
  /** Returns when all launches are done. @throws BackendError naming the kernel that failed */
  finish(): void;
  dispose(): void;
}
