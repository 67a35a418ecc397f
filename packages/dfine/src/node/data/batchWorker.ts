import { parentPort, workerData } from "node:worker_threads";
import { type BatchPlan, createBatchMaker } from "./batchMaker.ts";
import type { BatchReply, BatchRequest } from "./batchThreads.ts";
import { type BrokenImage, brokenImages } from "./brokenImages.ts";

// The start of a thread that makes the batches it is asked for. Who asks counts the broken images of all threads.
const plan = workerData as BatchPlan;
const port = parentPort!;
const reply = (message: BatchReply, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);
const onBroken = (broken: BrokenImage) => reply({ kind: "broken", broken });
const make = createBatchMaker(plan, brokenImages(plan.dataset, { mostBroken: 1, onBroken }));

port.on("message", async ({ id, epoch, index }: BatchRequest) => {
  try {
    const batch = await make(epoch, index);
    reply({ kind: "batch", id, batch }, [batch.images.buffer as ArrayBuffer]);
  } catch (error) {
    reply({ kind: "failed", id, reason: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
});
