import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { loadSharp } from "../optional.ts";
import type { Batch, BatchMaker, BatchPlan } from "./batchMaker.ts";
import type { BrokenImage, BrokenImages } from "./brokenImages.ts";
import { USUAL_CACHE } from "./imageSource.ts";

/** What a thread is asked for. */
export interface BatchRequest {
  readonly id: number;
  readonly epoch: number;
  readonly index: number;
}

/** What a thread says: an image that cannot be used, or how a request ended. */
export type BatchReply =
  | { readonly kind: "broken"; readonly broken: BrokenImage }
  | { readonly kind: "batch"; readonly id: number; readonly batch: Batch }
  | { readonly kind: "failed"; readonly id: number; readonly reason: string };

/** The file of the threads, beside this one. A CommonJS bundle does not know where it lies. */
function entry(): URL | undefined {
  const { url } = import.meta as { readonly url?: string };
  return url === undefined ? undefined : new URL(`./batchWorker${extname(url)}`, url);
}

/** Threads that keep up with a device without taking its cores: one on small machines, four at most. */
export const usualWorkers = (): number => Math.max(1, Math.min(4, Math.floor(availableParallelism() / 4)));

/** Whether threads can be started: a bundle that lacks their file makes its batches itself. */
export function hasBatchThreads(): boolean {
  const file = entry();
  return file !== undefined && existsSync(file);
}

/** One request that is under way. */
interface Pending {
  readonly resolve: (batch: Batch) => void;
  readonly reject: (error: unknown) => void;
}

/** A thread, kept alive by what is asked of it alone. */
class BatchThread {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #next = 0;

  constructor(plan: BatchPlan, broken: BrokenImages) {
    this.#worker = new Worker(entry()!, { workerData: plan, execArgv: [], name: "batches" });
    this.#worker.unref();
    this.#worker.on("message", (reply: BatchReply) => this.#take(reply, broken));
    this.#worker.on("error", (error) => this.#failAll(error));
    this.#worker.on("exit", () => this.#failAll(new Error("a thread that prepares images has ended")));
  }

  /** Requests under way. */
  get load(): number {
    return this.#pending.size;
  }

  make(epoch: number, index: number): Promise<Batch> {
    const id = this.#next++;
    this.#worker.ref();
    this.#worker.postMessage({ id, epoch, index } satisfies BatchRequest);
    return new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }));
  }

  end(): void {
    void this.#worker.terminate();
  }

  #take(reply: BatchReply, broken: BrokenImages): void {
    if (reply.kind === "broken") {
      try {
        broken.add(reply.broken);
      } catch (error) {
        this.#failAll(error);
      }
      return;
    }
    const asked = this.#pending.get(reply.id);
    this.#forget(reply.id);
    if (reply.kind === "batch") asked?.resolve(reply.batch);
    else asked?.reject(new Error(`a thread that prepares images failed: ${reply.reason}`));
  }

  #failAll(error: unknown): void {
    for (const [id, { reject }] of this.#pending) {
      this.#forget(id);
      reject(error);
    }
  }

  #forget(id: number): void {
    this.#pending.delete(id);
    if (this.#pending.size === 0) this.#worker.unref();
  }
}

/** Batches made by `count` threads, each one by whichever has least to do. They start with the first batch. */
export function batchThreads(plan: BatchPlan, count: number, broken: BrokenImages): BatchMaker & { end(): void } {
  let threads: BatchThread[] = [];
  const share = { ...plan, cacheBytes: (plan.cacheBytes ?? USUAL_CACHE) / count };
  const make: BatchMaker = async (epoch, index) => {
    // Here rather than in a thread: who lacks the package is told so.
    await loadSharp();
    if (threads.length === 0) threads = Array.from({ length: count }, () => new BatchThread(share, broken));
    return await threads.reduce((idlest, thread) => (thread.load < idlest.load ? thread : idlest)).make(epoch, index);
  };
  return Object.assign(make, {
    end() {
      for (const thread of threads) thread.end();
      threads = [];
    },
  });
}
