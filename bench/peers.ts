import { existsSync } from "node:fs";
import { join } from "node:path";
import { BenchError } from "./options.ts";
import type { Contender, HostArray, Peer } from "./work.ts";

/** As much of the two packages as is used here, where they are alike. */
interface OnnxRuntime {
  readonly InferenceSession: {
    create(path: string, options: { intraOpNumThreads?: number; executionProviders: string[] }): Promise<OnnxSession>;
  };
  readonly Tensor: new (type: "float32", data: Float32Array, shape: readonly number[]) => unknown;
}
interface OnnxSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  run(feeds: Record<string, unknown>): Promise<Readonly<Record<string, unknown>>>;
  release(): Promise<void>;
}

const RUNTIMES = {
  // Its threads are chosen once, for all sessions of the process.
  "onnxruntime-web": async (threads: number): Promise<OnnxRuntime> => {
    const { default: ort } = await import("onnxruntime-web");
    ort.env.wasm.numThreads = threads;
    ort.env.logLevel = "error";
    return ort as unknown as OnnxRuntime;
  },
  "onnxruntime-node": async (): Promise<OnnxRuntime> => (await import("onnxruntime-node")) as unknown as OnnxRuntime,
} as const;
type RuntimeName = keyof typeof RUNTIMES;
const PROVIDERS = { "onnxruntime-web": "wasm", "onnxruntime-node": "cpu" } as const;

async function startSession(
  implementation: RuntimeName,
  { file, inputs, threads }: { file: string; inputs: readonly HostArray[]; threads: number },
): Promise<Contender> {
  const runtime = await RUNTIMES[implementation](threads);
  const session = await runtime.InferenceSession.create(file, {
    intraOpNumThreads: threads,
    executionProviders: [PROVIDERS[implementation]],
  });
  const feeds = Object.fromEntries(
    session.inputNames.map((name, i) => [name, new runtime.Tensor("float32", inputs[i]!.data, inputs[i]!.shape)]),
  );
  const outputs = async (): Promise<Float32Array[]> => {
    const results = await session.run(feeds);
    return session.outputNames.map((name) => (results[name] as { data: Float32Array }).data);
  };
  return { implementation, run: () => session.run(feeds), outputs, dispose: () => session.release() };
}

export interface PeerFile {
  /** Undefined: peers were not asked for. */
  readonly folder: string | undefined;
  /** Without its ending. */
  readonly name: string;
}

/** Path of a peer's file, if there is one. */
export function peerFile({ folder, name }: PeerFile): string | undefined {
  const path = folder === undefined ? undefined : join(folder, `${name}.onnx`);
  return path !== undefined && existsSync(path) ? path : undefined;
}

/** onnxruntime-web and onnxruntime-node on a file; none when peers were not asked for. */
export function onnxPeers(source: PeerFile, { inputs, threads }: { inputs: readonly HostArray[]; threads: number }) {
  if (source.folder === undefined) return [];
  const file = peerFile(source);
  return (Object.keys(RUNTIMES) as RuntimeName[]).map((implementation): Peer => {
    if (file === undefined) return { implementation, reason: "no peers" };
    return { implementation, start: () => startSession(implementation, { file, inputs, threads }) };
  });
}

/**
 * Reads the weights [Co, Ci/groups, k, k] of a file that holds one convolution of x [1, C, H, W], by asking it what it
 * makes of one 1 per channel, each so far from the others that no window sees two.
 * @throws BenchError where the map is too small for that
 */
export async function convWeights(
  file: string,
  { x, weight, groups }: { x: readonly number[]; weight: readonly number[]; groups: number },
): Promise<Float32Array> {
  const [, channels, height, width] = x as [number, number, number, number];
  const [out, perGroup, kernel] = weight as [number, number, number, number];
  const perRow = Math.floor(width / kernel);
  if (Math.ceil(channels / perRow) * kernel > height)
    throw new BenchError(`${file}: ${channels} channels of ${kernel}×${kernel} windows do not fit ${height}×${width}`);
  const half = (kernel - 1) / 2;
  const placeOf = (channel: number): number =>
    (Math.floor(channel / perRow) * kernel + half) * width + (channel % perRow) * kernel + half;
  const data = new Float32Array(channels * height * width);
  for (let c = 0; c < channels; c++) data[c * height * width + placeOf(c)] = 1;
  const peer = await startSession("onnxruntime-node", { file, inputs: [{ data, shape: x }], threads: 1 });
  const [y] = await peer.outputs!();
  await peer.dispose();
  const weights = new Float32Array(out * perGroup * kernel * kernel);
  for (let o = 0, i = 0; o < out; o++)
    for (let c = 0; c < perGroup; c++) {
      const place = placeOf(Math.floor(o / (out / groups)) * perGroup + c);
      // The window that sees the 1 at its row r stands r − half above it.
      for (let r = 0; r < kernel; r++)
        for (let s = 0; s < kernel; s++)
          weights[i++] = y![o * height * width + place - (r - half) * width - (s - half)]!;
    }
  return weights;
}
