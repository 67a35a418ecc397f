import type { HandedKernel, WorkerSetup } from "./board.ts";

export interface SpawnedWorker {
  /** Hands it a kernel, where a worker that never returns to its event loop can be reached; else it compiles bytes. */
  hand?(kernel: HandedKernel): true;
  terminate(): void;
}

export interface SpawnOptions {
  /** JavaScript text of a function that takes the setup and may block. */
  readonly main: string;
  readonly setup: WorkerSetup;
  onError(message: string): void;
}

// Workers start from text, so bundles need no second file. Node's modules are asked of `process`: an import would not
// load in a browser.
const node = globalThis.process?.versions?.node === undefined ? undefined : globalThis.process;

/** Starts a thread that keeps no process alive. */
export function spawnWorker(options: SpawnOptions): SpawnedWorker {
  return node ? spawnInNode(node, options) : spawnInBrowser(options);
}

/** Threads that the machine runs at once. */
export const availableThreads = (): number =>
  node ? node.getBuiltinModule("os").availableParallelism() : (globalThis.navigator?.hardwareConcurrency ?? 1);

/** Whether threads can share memory here; a web page must be cross-origin isolated. */
export const canShareMemory = (): boolean =>
  typeof SharedArrayBuffer !== "undefined" && (node !== undefined || globalThis.crossOriginIsolated === true);

function spawnInNode(process: NodeJS.Process, { main, setup, onError }: SpawnOptions): SpawnedWorker {
  const { Worker } = process.getBuiltinModule("worker_threads");
  const text = `
    const { parentPort, receiveMessageOnPort, workerData } = process.getBuiltinModule("worker_threads");
    (${main})(workerData, () => receiveMessageOnPort(parentPort).message);`;
  const worker = new Worker(text, { eval: true, workerData: setup, execArgv: [], name: `cpu thread ${setup.thread}` });
  worker.on("error", (error) => onError(String(error)));
  worker.unref();
  return {
    hand: (kernel) => {
      worker.postMessage(kernel);
      return true;
    },
    terminate: () => void worker.terminate(),
  };
}

function spawnInBrowser({ main, setup, onError }: SpawnOptions): SpawnedWorker {
  const text = `onmessage = (event) => { (${main})(event.data); close(); };`;
  const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  const worker = new Worker(url, { name: `cpu thread ${setup.thread}` });
  // A refusal by the page's policy comes without a message.
  worker.onerror = ({ message }) => onError(message || "the page's Content-Security-Policy needs `worker-src blob:`");
  worker.postMessage(setup);
  URL.revokeObjectURL(url);
  return { terminate: () => worker.terminate() };
}
