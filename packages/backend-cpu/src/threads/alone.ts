import { BackendError } from "@dfine/tensor";
import type { Heap } from "../memory/heap.ts";
import { put } from "../memory/wordList.ts";
import { type Job, MAX_ARGS } from "../runtime.ts";
import type { LoadedKernel } from "../wasm/instances.ts";
import type { Launcher } from "./launcher.ts";

/** The calling thread alone: a launch is done when it returns. */
export class Alone implements Launcher {
  readonly queued = 0;
  readonly waited = 0;
  readonly #heap: Heap;
  readonly #args: number;
  failure: string | undefined;

  constructor(heap: Heap) {
    this.#heap = heap;
    this.#args = heap.alloc(MAX_ARGS * 4);
  }

  async ready(): Promise<void> {}
  finish(): void {}
  workUntil(): void {}
  dispose(): void {}

  queue(kernel: LoadedKernel, { args, units, grain }: Job): void {
    put(this.#heap.i32(), this.#args / 4, args);
    try {
      for (let first = 0; first < units; first += grain) kernel.run(this.#args, first, Math.min(units, first + grain));
    } catch (error) {
      this.failure = `${kernel.name} failed: ${String(error)}`;
      throw new BackendError(`cpu: ${this.failure}`);
    }
  }
}
