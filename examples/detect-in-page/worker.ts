// The detector's thread: kernels keep a thread busy until they are done, and here that is not the page's.
import { DFine, toRgbImage } from "dfine";
import type { Detecting, PageDevice } from "./messages.ts";

const threads = crossOriginIsolated ? "all its cores" : "one thread, as this page is not cross-origin isolated";
const REMARKS: Record<PageDevice, string> = { cpu: `, ${threads}`, webgpu: "" };

let detector: DFine | undefined;

const detecting: Detecting = {
  async open(weights, device) {
    detector?.dispose();
    detector = undefined;
    const bytes = new Uint8Array(await weights.arrayBuffer());
    detector = await DFine.fromPretrained(bytes, { device, file: weights.name });
    return { names: detector.names, device: detector.backend.name + REMARKS[device] };
  },

  async detect(image, threshold) {
    if (!detector) throw new Error("choose weights first");
    const pixels = await toRgbImage(image);
    const start = performance.now();
    const [result] = await detector.detect(pixels, { threshold });
    return { objects: result!.objects, milliseconds: performance.now() - start };
  },
};

// Every call brings a port of its own for the answer.
addEventListener("message", async ({ data: { name, args }, ports }) => {
  try {
    const call = detecting[name as keyof Detecting] as (...args: unknown[]) => Promise<unknown>;
    ports[0]!.postMessage({ value: await call(...args) });
  } catch (error) {
    ports[0]!.postMessage({ error: (error as Error).message });
  }
});
