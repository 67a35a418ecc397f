import { fork } from "node:child_process";
import { cpus, loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { jobsOf, type Reply } from "./job.ts";
import type { Measured } from "./measure.ts";
import { BenchError, type Job, parseOptions } from "./options.ts";
import type { Row } from "./row.ts";
import { floorLines, HEADER, workLines } from "./table.ts";

const WORKER = fileURLToPath(new URL("worker.ts", import.meta.url));

/** Runs a job in a process of its own. What that process prints goes to standard error. @throws BenchError */
function runApart(job: Job, onMeasured: (measured: Measured) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = fork(WORKER, { stdio: ["ignore", 2, 2, "ipc"] });
    let failure: string | undefined;
    worker.on("message", (reply: Reply) => {
      if ("measured" in reply) onMeasured(reply.measured);
      else failure = reply.failed;
    });
    worker.on("error", reject);
    worker.on("close", (code, signal) => {
      const ended = code === 0 ? undefined : `the process that measured ${job.kind} ended with ${signal ?? code}`;
      const problem = failure ?? ended;
      if (problem === undefined) resolve();
      else reject(new BenchError(problem));
    });
    worker.send(job);
  });
}

const load = (): string => loadavg()[0]!.toFixed(1);

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  const rows: Row[] = [];
  const print = (text: string): void => void (options.json ? process.stderr : process.stdout).write(`${text}\n`);
  const processors = cpus();
  print(
    `${processors[0]?.model ?? "unknown processor"}, ${processors.length} cores, Node ${process.version}, load ${load()}`,
  );
  print(HEADER);
  let device: string | undefined;
  for (const job of jobsOf(options))
    await runApart(job, (measured) => {
      rows.push(...measured.rows);
      const ours = measured.rows.find((row) => row.device !== undefined)?.device;
      if (ours !== undefined && ours !== device) print(`ours on ${ours}:`);
      device = ours;
      for (const text of workLines(measured.rows, measured.notRun)) print(text);
    });
  for (const text of floorLines(rows)) print(text);
  print(`load at the end ${load()}, of which the bench itself makes its number of threads`);
  if (options.json) process.stdout.write(`${JSON.stringify({ rows })}\n`);
}

try {
  await main();
} catch (error) {
  if (!(error instanceof BenchError)) throw error;
  process.stderr.write(`bench: ${error.message}\n`);
  process.exitCode = 2;
}
