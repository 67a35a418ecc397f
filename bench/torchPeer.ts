import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Config, TrainingBatch } from "dfine";
import { BenchError } from "./options.ts";
import type { Learned } from "./row.ts";
import type { Contender, Peer } from "./work.ts";

const SCRIPT = join(import.meta.dirname, "torch", "step.py");

/** What a step starts from, ours and its peer's. */
export interface StepStart {
  readonly config: Config;
  readonly data: Pick<TrainingBatch, "images" | "shape" | "targets">;
  readonly threads: number;
  /** The first weights, a safetensors file with the official names; asked for when the peer starts. */
  readonly weights: () => Uint8Array;
}

/** What of steps must agree: the loss of ordinary queries, since denoising draws its own noise; and the weights that learn. */
export const comparable = ({ loss, parameters }: Learned): Float64Array[] => [
  Float64Array.of(loss),
  Float64Array.of(parameters),
];

/** Asks a program for lines, one for each line it is sent. */
class Dialogue {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(program: string, args: readonly string[]) {
    this.#child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
    // A program that is not there has no lines, which `ask` tells of.
    this.#child.on("error", () => undefined);
    this.#child.stdin!.on("error", () => undefined);
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
  }

  /** @throws BenchError where the program has ended */
  async ask(question: string): Promise<string> {
    this.#child.stdin!.write(`${question}\n`);
    const { value, done } = await this.#lines.next();
    if (done) throw new BenchError(`${this.#child.spawnfile} ended without an answer; what it said stands above`);
    return value;
  }

  end(): void {
    this.#child.stdin!.end();
    this.#child.kill();
  }
}

async function startTorch(python: string, { config, data, threads, weights }: StepStart): Promise<Contender> {
  const folder = await mkdtemp(join(tmpdir(), "dfine-bench-"));
  const files = { weights: join(folder, "weights.safetensors"), images: join(folder, "images.f32") };
  await writeFile(files.weights, weights());
  await writeFile(files.images, data.images);
  const [batch, , size] = data.shape;
  const targets = data.targets.map(({ labels, boxes }) => ({ labels: [...labels], boxes: [...boxes] }));
  const dialogue = new Dialogue(python, [SCRIPT]);
  const { parameters } = JSON.parse(
    await dialogue.ask(JSON.stringify({ ...config, ...files, batch, size, targets, threads })),
  ) as { parameters: number };
  await rm(folder, { recursive: true });
  let loss: number | undefined;
  const run = async (): Promise<void> => {
    const { ordinary } = JSON.parse(await dialogue.ask("")) as { ordinary: number };
    loss ??= ordinary;
  };
  return {
    implementation: "pytorch",
    run,
    outputs: async () => {
      if (loss === undefined) await run();
      return comparable({ loss: loss!, parameters });
    },
    learned: () => (loss === undefined ? undefined : { loss, parameters }),
    dispose: () => dialogue.end(),
  };
}

/** The step in PyTorch, by a python3 that has torch. Its backbones are those whose norms learn. */
export function torchPeer(python: string, start: StepStart): Peer {
  if (start.config.model.backbone.type !== "hgnetv2" || start.config.model.backbone.freezeNorm)
    return { implementation: "pytorch", reason: "bench/torch has no frozen norms" };
  return { implementation: "pytorch", start: () => startTorch(python, start) };
}
