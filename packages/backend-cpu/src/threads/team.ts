import { BackendError } from "@dfine/tensor";
import type { Heap } from "../memory/heap.ts";
import { put } from "../memory/wordList.ts";
import type { Job } from "../runtime.ts";
import type { LoadedKernel } from "../wasm/instances.ts";
import { BOARD, boardWords, CALLER_SPIN_MILLISECONDS, lookOf, SLOT, SLOTS, setupFor, slotOf } from "./board.ts";
import type { Launcher } from "./launcher.ts";
import { type SpawnedWorker, type SpawnOptions, spawnWorker } from "./spawn.ts";
import { workerMain } from "./worker.ts";

export interface TeamOptions {
  readonly threads: number;
  /** Address of the threads' own memory. */
  readonly own: number;
  /** How long a worker may take to finish its chunk after the caller ran out of chunks. */
  readonly deadlineMilliseconds: number;
  /** Starts a worker; replaced in tests of failures. */
  readonly spawn?: (options: SpawnOptions) => SpawnedWorker;
}

/** The calling thread and its workers, and the launches that wait for them. `board.ts` says how they agree. */
export class Team implements Launcher {
  readonly #heap: Heap;
  readonly #options: TeamOptions;
  readonly #address: number;
  readonly #words: Int32Array;
  /** Kernels of the launches in the slots. */
  readonly #kernels: LoadedKernel[] = [];
  readonly #names: string[] = [];
  #workers: SpawnedWorker[] | undefined;
  #problem: string | undefined;
  #failure: string | undefined;
  waited = 0;

  constructor(heap: Heap, options: TeamOptions) {
    this.#heap = heap;
    this.#options = options;
    const words = boardWords(options.threads);
    this.#address = heap.alloc(words * 4);
    // Growth never moves or detaches shared memory, so this view stays good.
    this.#words = new Int32Array(heap.memory.buffer, this.#address, words);
    this.#words.fill(0);
  }

  get failure(): string | undefined {
    return this.#failure ?? (this.#problem && `a worker thread ended: ${this.#problem}`);
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

  get queued(): number {
    return this.#words[BOARD.queued]!;
  }

  /** Returns when there is room for one more. A full queue is emptied by half: who joins each launch late would have the others wait for it. */
  queue(kernel: LoadedKernel, { args, units, grain }: Job): void {
    this.#workers ??= this.#start();
    const words = this.#words;
    if (Atomics.load(words, BOARD.failed) !== 0) this.finish();
    const { queued } = this;
    const at = slotOf(queued);
    if (((queued - Atomics.load(words, BOARD.finished)) | 0) >= SLOTS) this.workUntil((queued - SLOTS / 2) | 0);
    for (let thread = 1; thread < this.#options.threads; thread++) while (Atomics.load(words, lookOf(thread)) === at);
    words[at + SLOT.kernel] = kernel.number;
    words[at + SLOT.code] = this.#publish(kernel);
    words[at + SLOT.codeLength] = kernel.bytes.length;
    words[at + SLOT.units] = units;
    words[at + SLOT.grain] = grain;
    words[at + SLOT.chunks] = Math.ceil(units / grain);
    put(words, at + SLOT.args, args);
    words[at + SLOT.taken] = 0;
    words[at + SLOT.done] = 0;
    this.#kernels[queued & (SLOTS - 1)] = kernel;
    Atomics.store(words, BOARD.queued, (queued + 1) | 0);
    if (Atomics.load(words, BOARD.sleepers) > 0) Atomics.notify(words, BOARD.queued);
  }

  finish(): void {
    if (this.#failure === undefined) {
      this.workUntil(this.queued);
      if (Atomics.load(this.#words, BOARD.failed) !== 0)
        this.#failure ??= `${this.#names[this.#words[BOARD.failedKernel]!]} failed on a worker: ${this.#message()}`;
    }
    if (this.#failure !== undefined) throw new BackendError(`cpu: ${this.#failure}`);
  }

  /** Takes chunks, and waits when there are none, until so many launches are done. @throws BackendError when a worker stopped answering */
  workUntil(launches: number): void {
    for (;;) {
      const launch = Atomics.load(this.#words, BOARD.finished);
      if (((launch - launches) | 0) >= 0) return;
      this.#takeChunks(launch);
      this.#awaitOthers(launch);
    }
  }

  dispose(): void {
    Atomics.store(this.#words, BOARD.stop, 1);
    for (const word of [BOARD.queued, BOARD.finished]) {
      Atomics.add(this.#words, word, 1);
      Atomics.notify(this.#words, word);
    }
    for (const worker of this.#workers ?? []) worker.terminate();
    this.#workers = [];
  }

  #start(): SpawnedWorker[] {
    const { threads, own, spawn = spawnWorker } = this.#options;
    const { memory } = this.#heap;
    const onError = (message: string): void => {
      this.#problem ??= message;
    };
    const main = workerMain.toString();
    return Array.from({ length: threads - 1 }, (_, i) =>
      spawn({ main, setup: setupFor({ memory, address: this.#address, own }, { thread: i + 1, threads }), onError }),
    );
  }

  #publish(kernel: LoadedKernel): number {
    if (kernel.published !== undefined) return kernel.published;
    const { number, module, bytes, name } = kernel;
    this.#names[number] = name;
    let isHanded = true;
    for (const worker of this.#workers!) isHanded &&= worker.hand?.({ number, module }) ?? false;
    kernel.published = isHanded ? 0 : this.#heap.alloc(bytes.length);
    if (!isHanded) {
      // Kernels that wait may still use what this memory was before.
      this.workUntil(this.queued);
      this.#heap.u8().set(bytes, kernel.published);
    }
    return kernel.published;
  }

  #takeChunks(launch: number): void {
    const words = this.#words;
    const at = slotOf(launch);
    const kernel = this.#kernels[launch & (SLOTS - 1)]!;
    const [units, grain, chunks] = [words[at + SLOT.units]!, words[at + SLOT.grain]!, words[at + SLOT.chunks]!];
    for (;;) {
      const chunk = Atomics.add(words, at + SLOT.taken, 1);
      if (chunk >= chunks) return;
      try {
        if (Atomics.load(words, BOARD.failed) === 0)
          kernel.run(this.#address + (at + SLOT.args) * 4, chunk * grain, Math.min(units, (chunk + 1) * grain));
      } catch (error) {
        if (Atomics.compareExchange(words, BOARD.failed, 0, 1) === 0)
          this.#failure = `${kernel.name} failed: ${String(error)}`;
      }
      if (Atomics.add(words, at + SLOT.done, 1) + 1 < chunks) continue;
      Atomics.store(words, BOARD.finished, (launch + 1) | 0);
      if (Atomics.load(words, BOARD.sleepers) > 0) Atomics.notify(words, BOARD.finished);
    }
  }

  /** Waits for workers to do the last chunks of a launch. */
  #awaitOthers(launch: number): void {
    const words = this.#words;
    if (Atomics.load(words, BOARD.finished) !== launch) return;
    const start = performance.now();
    for (let spins = 1; Atomics.load(words, BOARD.finished) === launch; spins++) {
      if (spins % 64 !== 0) continue;
      const waited = performance.now() - start;
      if (waited > this.#options.deadlineMilliseconds) {
        const { name } = this.#kernels[launch & (SLOTS - 1)]!;
        this.#failure = `a worker thread took a part of ${name} and has not answered for ${Math.round(waited / 1000)} s: it has died or hangs`;
        throw new BackendError(`cpu: ${this.#failure}`);
      }
      if (waited > CALLER_SPIN_MILLISECONDS) this.#sleep(launch);
    }
    this.waited += performance.now() - start;
  }

  /** Waits for a worker to finish, a little at a time. */
  #sleep(launch: number): void {
    const words = this.#words;
    Atomics.add(words, BOARD.sleepers, 1);
    try {
      Atomics.wait(words, BOARD.finished, launch, 20);
    } catch {
      // A web page's main thread may not sleep; it goes on spinning.
    }
    Atomics.sub(words, BOARD.sleepers, 1);
  }

  #message(): string {
    const length = Atomics.load(this.#words, BOARD.messageLength);
    return String.fromCharCode(...this.#words.subarray(BOARD.message, BOARD.message + length));
  }
}
