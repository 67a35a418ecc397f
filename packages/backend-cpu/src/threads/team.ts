import { BackendError } from "@dfine/tensor";
import type { Heap } from "../memory/heap.ts";
import type { LoadedKernel } from "../wasm/instances.ts";
import { BOARD, BOARD_WORDS, CALLER_SPIN_MILLISECONDS, setupFor } from "./board.ts";
import { type SpawnedWorker, type SpawnOptions, spawnWorker } from "./spawn.ts";
import { workerMain } from "./worker.ts";

export interface TeamJob {
  readonly args: number;
  readonly units: number;
  readonly grain: number;
  readonly chunks: number;
}

export interface TeamOptions {
  readonly threads: number;
  /** How long a worker may take to finish its chunk after the caller ran out of chunks. */
  readonly deadlineMilliseconds: number;
  /** Starts a worker; replaced in tests of failures. */
  readonly spawn?: (options: SpawnOptions) => SpawnedWorker;
}

/** The calling thread and its workers. Every job is finished when `run` returns, whoever took the chunks. */
export class Team {
  readonly #heap: Heap;
  readonly #options: TeamOptions;
  readonly #address: number;
  readonly #words: Int32Array;
  #workers: SpawnedWorker[] | undefined;
  #problem: string | undefined;
  /** Milliseconds for which the caller waited for workers to finish; counted once that was asked for. */
  waited: number | undefined;

  constructor(heap: Heap, options: TeamOptions) {
    this.#heap = heap;
    this.#options = options;
    this.#address = heap.alloc(BOARD_WORDS * 4);
    // Growth never moves or detaches shared memory, so this view stays good.
    this.#words = new Int32Array(heap.memory.buffer, this.#address, BOARD_WORDS);
    this.#words.fill(0);
  }

  /** What ended a worker outside of a job, if anything did. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Starts the workers and resolves once all of them run. @throws BackendError when they cannot */
  async ready(): Promise<void> {
    this.#workers ??= this.#start();
    const { threads, deadlineMilliseconds } = this.#options;
    const start = performance.now();
    while (Atomics.load(this.#words, BOARD.started) < threads - 1) {
      if (performance.now() - start > deadlineMilliseconds) this.#problem ??= "it does not answer";
      if (this.#problem !== undefined)
        throw new BackendError(`cpu: worker threads cannot start here: ${this.#problem}; or use threads: 1`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** @throws BackendError naming the kernel when a worker fails or stops answering */
  run(kernel: LoadedKernel, { args, units, grain, chunks }: TeamJob): void {
    this.#workers ??= this.#start();
    const words = this.#words;
    words[BOARD.kernel] = kernel.number;
    words[BOARD.code] = this.#publish(kernel);
    words[BOARD.codeLength] = kernel.bytes.length;
    words[BOARD.args] = args;
    words[BOARD.units] = units;
    words[BOARD.grain] = grain;
    words[BOARD.chunks] = chunks;
    Atomics.store(words, BOARD.next, 0);
    Atomics.store(words, BOARD.open, 1);
    Atomics.add(words, BOARD.sequence, 1);
    if (Atomics.load(words, BOARD.sleepers) > 0) Atomics.notify(words, BOARD.sequence);
    try {
      for (let chunk = Atomics.add(words, BOARD.next, 1); chunk < chunks; chunk = Atomics.add(words, BOARD.next, 1))
        kernel.run(args, chunk * grain, Math.min(units, (chunk + 1) * grain));
    } finally {
      // After a failure of the caller's own, what is left is taken away from the workers.
      Atomics.store(words, BOARD.next, chunks);
      Atomics.store(words, BOARD.open, 0);
      const ended = this.waited === undefined ? 0 : performance.now();
      this.#awaitWorkers(kernel);
      if (this.waited !== undefined) this.waited += performance.now() - ended;
    }
    if (Atomics.load(words, BOARD.failed) !== 0)
      throw new BackendError(`cpu: ${kernel.name} failed on a worker: ${this.#message()}`);
  }

  /** Counts in `waited` from now on. */
  measureWaits(): void {
    this.waited ??= 0;
  }

  dispose(): void {
    Atomics.store(this.#words, BOARD.stop, 1);
    Atomics.add(this.#words, BOARD.sequence, 1);
    Atomics.notify(this.#words, BOARD.sequence);
    for (const worker of this.#workers ?? []) worker.terminate();
    this.#workers = [];
  }

  #start(): SpawnedWorker[] {
    const { threads, spawn = spawnWorker } = this.#options;
    const onError = (message: string): void => {
      this.#problem ??= message;
    };
    const main = workerMain.toString();
    return Array.from({ length: threads - 1 }, (_, i) =>
      spawn({ main, setup: setupFor(this.#heap.memory, this.#address, i + 1), onError }),
    );
  }

  #publish(kernel: LoadedKernel): number {
    if (kernel.published !== undefined) return kernel.published;
    const { number, module, bytes } = kernel;
    let isHanded = true;
    for (const worker of this.#workers!) isHanded &&= worker.hand?.({ number, module }) ?? false;
    kernel.published = isHanded ? 0 : this.#heap.alloc(bytes.length);
    if (!isHanded) this.#heap.u8().set(bytes, kernel.published);
    return kernel.published;
  }

  #awaitWorkers(kernel: LoadedKernel): void {
    const words = this.#words;
    const start = performance.now();
    let waited = 0;
    for (let spins = 1; ; spins++) {
      if (Atomics.load(words, BOARD.active) === 0) return;
      if (spins % 64 !== 0) continue;
      waited = performance.now() - start;
      if (waited > this.#options.deadlineMilliseconds)
        throw new BackendError(
          `cpu: a worker thread took a part of ${kernel.name} and has not answered for ${Math.round(waited / 1000)} s: it has died or hangs`,
        );
      if (waited > CALLER_SPIN_MILLISECONDS) this.#sleep();
    }
  }

  /** Waits for a worker to finish, a little at a time. */
  #sleep(): void {
    const words = this.#words;
    Atomics.store(words, BOARD.callerWaits, 1);
    const active = Atomics.load(words, BOARD.active);
    try {
      if (active !== 0) Atomics.wait(words, BOARD.active, active, 20);
    } catch {
      // A web page's main thread may not sleep; it goes on spinning.
    }
    Atomics.store(words, BOARD.callerWaits, 0);
  }

  #message(): string {
    const length = Atomics.load(this.#words, BOARD.messageLength);
    return String.fromCharCode(...this.#words.subarray(BOARD.message, BOARD.message + length));
  }
}
