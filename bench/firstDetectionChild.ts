import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

// Detects once, and says how long that took: WHO FILE THREADS, where WHO is a repository of ours, or onnxruntime-web.
const [who, file, threads] = process.argv.slice(2) as [string, string, string];
const SIDE = 640;

async function ours(root: string): Promise<() => Promise<unknown>> {
  const url = pathToFileURL(join(root, "packages/dfine/dist/index.js")).href;
  const { DFine } = (await import(url)) as typeof import("dfine");
  return async () => {
    const detector = await DFine.fromPretrained(await readFile(file), { device: "cpu", threads: Number(threads) });
    await detector.detect({ data: new Uint8Array(3 * SIDE * SIDE), width: SIDE, height: SIDE });
  };
}

async function onnxruntime(): Promise<() => Promise<unknown>> {
  const { default: ort } = await import("onnxruntime-web");
  ort.env.wasm.numThreads = Number(threads);
  ort.env.logLevel = "error";
  return async () => {
    const session = await ort.InferenceSession.create(file, { executionProviders: ["wasm"] });
    const images = new ort.Tensor("float32", new Float32Array(3 * SIDE * SIDE), [1, 3, SIDE, SIDE]);
    await session.run({ [session.inputNames[0]!]: images });
  };
}

const run = await (who === "onnxruntime-web" ? onnxruntime() : ours(who));
const loaded = performance.now();
await run();
const fromStart = performance.now();
process.stdout.write(JSON.stringify({ fromStart, openAndRun: fromStart - loaded }), () => process.exit());
