import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { type WebGpuBackend, webgpu } from "@dfine/backend-webgpu";
import { type Ceiling, measureCeiling, type Profile, profiled } from "@dfine/tensor";
import type { PresetName } from "dfine";
import { type GpuFindings, gpuSection, type StepTimes, torchTimes } from "./gpuReport.ts";
import { BenchError } from "./options.ts";
import type { Row } from "./row.ts";
import { trainWork } from "./train.ts";

const USAGE = `npm run gpu -- [--software] [--only parity,losses,kernels,train] [--preset n,s] [--train-size 640] [--train-batch 8]
  [--seconds 3] [--reference ../shared/reference] [--torch LINES.json] [--out runs/gpu.md]`;
const ROOT = join(import.meta.dirname, "..");
/** Before a backend here names the software driver of this process: other programs find theirs by themselves. */
const ENVIRONMENT = { ...process.env };
/** Steps whose kernels are timed, after one that compiles. */
const TIMED_STEPS = 3;

function parse() {
  try {
    return parseArgs({
      options: {
        software: { type: "boolean", default: false },
        only: { type: "string", default: "parity,losses,kernels,train" },
        preset: { type: "string", default: "n,s" },
        "train-size": { type: "string", default: "640" },
        "train-batch": { type: "string", default: "8" },
        seconds: { type: "string", default: "3" },
        reference: { type: "string", default: "../shared/reference" },
        torch: { type: "string" },
        out: { type: "string", default: "runs/gpu.md" },
      },
    }).values;
  } catch (error) {
    throw new BenchError(`${(error as Error).message}; use: ${USAGE}`);
  }
}
type Options = ReturnType<typeof parse>;

const tell = (text: string): void => void process.stderr.write(`${text}\n`);

/** Runs one of the project's programs; what it prints is shown on stderr as it comes, and handed back. */
function program(file: string, args: readonly string[]): Promise<{ text: string; ok: boolean }> {
  tell(`\n> ${file} ${args.join(" ")}`);
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(ROOT, file), ...args], {
      cwd: ROOT,
      env: ENVIRONMENT,
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (part: string) => {
      text += part;
      process.stderr.write(part);
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ text, ok: code === 0 }));
  });
}

/** The device's name, and what it reaches. @throws BenchError where it is only software and that was not asked for */
async function deviceFacts(allowSoftware: boolean): Promise<{ device: string; ceiling: Ceiling | undefined }> {
  const backend = await webgpu();
  const { adapterName, software } = backend;
  const ceiling = software && !allowSoftware ? undefined : await measureCeiling(backend);
  backend.dispose();
  if (software && !allowSoftware)
    throw new BenchError(
      `the only WebGPU adapter here is ${adapterName}, which computes on the CPU; run this on a machine with a GPU and its driver, or add --software to try the command itself`,
    );
  return { device: adapterName, ceiling };
}

async function check(file: string, args: readonly string[]): Promise<string> {
  const { text, ok } = await program(file, args);
  const last = text.trimEnd().split("\n").at(-1) || "it ended without a result";
  if (!ok) process.exitCode = 1;
  return last;
}

async function benchRows(args: readonly string[]): Promise<Row[]> {
  const { text, ok } = await program("bench/main.ts", ["--device", "webgpu", "--json", ...args]);
  if (!ok) throw new BenchError("the bench failed; what it said stands above");
  return (JSON.parse(text) as { rows: Row[] }).rows;
}

/** Milliseconds of the kernels of one step, and where they go; undefined where the device tells no times. */
async function kernelTimes(
  { preset, size, batch }: Row,
  ceiling: Ceiling | undefined,
): Promise<{ kernels_ms: number | undefined; profile: Profile | undefined }> {
  const backend = await webgpu({ trace: true });
  const total = async (): Promise<number> =>
    (await backend.kernelTimes()).reduce((sum, { milliseconds = 0 }) => sum + milliseconds, 0);
  const watched = profiled(backend, ceiling);
  const work = trainWork({ preset: preset as PresetName, size, batch, threads: 1 });
  const { run, dispose } = await work.ours(watched.backend);
  await run();
  const before = await total();
  watched.profile({ restart: true });
  for (let i = 0; i < TIMED_STEPS; i++) await run();
  const taken = (await total()) - before;
  const profile = watched.profile();
  dispose();
  backend.dispose();
  return tellsTimes(backend)
    ? { kernels_ms: taken / TIMED_STEPS, profile }
    : { kernels_ms: undefined, profile: undefined };
}

const tellsTimes = ({ features }: WebGpuBackend): boolean => features.has("timestamp-query");

async function findings(options: Options): Promise<GpuFindings> {
  const wanted = options.only.split(",");
  const torch = options.torch === undefined ? [] : torchTimes(await readFile(options.torch, "utf8"));
  const facts = await deviceFacts(options.software);
  const { preset, seconds, reference } = options;
  const checks: Record<string, string> = {};
  if (wanted.includes("parity"))
    checks[`parity of ${preset} with the official PyTorch model (units, eval, train)`] = existsSync(reference)
      ? await check("parity/main.ts", [
          ...["--backend", "webgpu", "--preset", preset, "--only", "units,eval,train", "--reference", reference],
        ])
      : `not run: no reference pack at ${reference}`;
  if (wanted.includes("losses"))
    checks["losses of ten steps of n, beside the CPU's"] = await check("parity/trajectoryMain.ts", [
      "--device",
      "webgpu",
    ]);
  const kernels = wanted.includes("kernels")
    ? await benchRows(["--only", "kernels", "--peers", "--seconds", seconds])
    : [];
  const steps: StepTimes[] = [];
  if (wanted.includes("train")) {
    const size = ["--train-size", options["train-size"], "--train-batch", options["train-batch"]];
    for (const row of await benchRows(["--only", "train", "--preset", preset, ...size, "--seconds", seconds]))
      steps.push({ row, ...(await kernelTimes(row, facts.ceiling)) });
  }
  const host = `${cpus()[0]?.model ?? "unknown processor"}, Node ${process.version}`;
  return { ...facts, torch, host, date: new Date().toISOString().slice(0, 10), checks, kernels, steps };
}

try {
  const options = parse();
  const section = gpuSection(await findings(options));
  await mkdir(dirname(options.out), { recursive: true });
  await writeFile(options.out, `${section}\n`);
  process.stdout.write(`${section}\n`);
  tell(`\nwritten to ${options.out}: a section for docs/results.md`);
} catch (error) {
  if (!(error instanceof BenchError)) throw error;
  process.stderr.write(`gpu: ${error.message}\n`);
  process.exitCode = 2;
}
