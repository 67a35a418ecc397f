/// <reference types="@webgpu/types" />
import { BackendError } from "@dfine/tensor";
import { withNaps } from "../swiftshader/naps.node.ts";
import { installedAdapter, softwareAdapter } from "./dawn.node.ts";

// Node's modules are asked of `process`: an import would not load in a browser.
const node = globalThis.process?.versions?.node === undefined ? undefined : globalThis.process;
const browserGpu = (): GPU | undefined => (globalThis.navigator as Navigator | undefined)?.gpu;
/** The process in which Dawn computes; none where there is `navigator.gpu`. */
export const dawnProcess = (): NodeJS.Process | undefined => (browserGpu() ? undefined : node);

const options: GPURequestAdapterOptions = { powerPreference: "high-performance" };

/** The adapter to compute on: Dawn's in Node, `navigator.gpu`'s in browsers. @throws BackendError when there is none */
export async function findAdapter(): Promise<GPUAdapter> {
  const adapter = await presentAdapter();
  if (adapter) return adapter;
  const process = dawnProcess();
  if (process) return await softwareAdapter(process, options);
  throw new BackendError(
    browserGpu()
      ? 'webgpu: the browser offers WebGPU but found no adapter: look at its GPU page (about:gpu, about:support), update the driver, or use device "cpu"'
      : 'webgpu: this page has no navigator.gpu: use a browser with WebGPU and serve the page over https or from localhost, or use device "cpu"',
  );
}

/** The same, but nothing is looked for that only computes in software. @throws BackendError when Dawn cannot be loaded */
export async function presentAdapter(): Promise<GPUAdapter | undefined> {
  const process = dawnProcess();
  if (process) return await installedAdapter(process, options);
  return (await browserGpu()?.requestAdapter(options)) ?? undefined;
}

/** Waits for work of the device; with Dawn in Node without keeping a core busy. */
export const waitFor = <T>(work: Promise<T>): Promise<T> => (dawnProcess() ? withNaps(work) : work);
