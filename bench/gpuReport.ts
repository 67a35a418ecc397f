import { type Ceiling, type OpProfile, type Profile, sharesOf } from "@dfine/tensor";
import type { Row } from "./row.ts";
import { speedRatio } from "./table.ts";

/** A training step of one preset on the device. */
export interface StepTimes {
  readonly row: Row;
  /** Sum of the times of a step's kernels; undefined where the device tells no times. */
  readonly kernels_ms: number | undefined;
  /** Of some steps whose kernels were timed one by one. */
  readonly profile?: Profile | undefined;
}

/** What PyTorch takes for a step of N on the same card, as `torch_step.py` prints it. */
export interface TorchTimes {
  /** float32, tf32 or bfloat16. */
  readonly mode: string;
  readonly size: number;
  readonly batch: number;
  /** Median and minimum. */
  readonly train_step_ms: readonly [number, number];
}

/** Reads lines of JSON that `torch_step.py` printed. @throws SyntaxError */
export const torchTimes = (text: string): TorchTimes[] =>
  text
    .split("\n")
    .filter((line) => line.trim().startsWith("{"))
    .map((line) => JSON.parse(line) as TorchTimes);

/** What was found out about a device. */
export interface GpuFindings {
  readonly device: string;
  /** Processor and Node. */
  readonly host: string;
  /** As 2026-11-25. */
  readonly date: string;
  /** Checks by name: what their last line said, or why they were not run. */
  readonly checks: Readonly<Record<string, string>>;
  /** Rows of kernels, ours and peers'. */
  readonly kernels: readonly Row[];
  readonly steps: readonly StepTimes[];
  /** What the device reached in a product and in a copy at the start. */
  readonly ceiling?: Ceiling | undefined;
  readonly torch?: readonly TorchTimes[];
}

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string[] =>
  rows.length === 0 ? [] : [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).concat("");

const milliseconds = (value: number): string => value.toFixed(value < 10 ? 3 : 1);

const percent = (share: number | undefined): string => (share === undefined ? "" : `${(100 * share).toFixed(0)} %`);

function kernelLines(rows: readonly Row[], ceiling: Ceiling | undefined): string[] {
  const peers = [...new Set(rows.map(({ implementation }) => implementation))].filter((name) => name !== "ours");
  const ours = rows.filter(({ implementation }) => implementation === "ours");
  const head = [
    "kernel",
    "ours, ms",
    "GFLOP/s or GB/s",
    "of ceiling",
    ...peers.map((name) => `${name}, ms`),
    "best peer's time over ours",
  ];
  return table(
    head,
    ours.map((row) => {
      const others = rows.filter(({ name, implementation }) => name === row.name && implementation !== "ours");
      const best = Math.min(...others.map((peer) => speedRatio(row, peer)));
      const rate = row.gflops ?? row.gbps;
      return [
        row.name,
        milliseconds(row.median_ms),
        rate === undefined ? "" : rate.toFixed(1),
        percent(ceiling && rate && rate / (row.gflops === undefined ? ceiling.gbps : ceiling.gflops)),
        ...peers.map((peer) => {
          const found = others.find(({ implementation }) => implementation === peer);
          return found ? milliseconds(found.median_ms) : "";
        }),
        others.length === 0 ? "" : `${best.toFixed(2)}×`,
      ];
    }),
  );
}

/** Share of a step in which no kernel runs, from 0 to 1. */
export const idleShare = ({ row, kernels_ms }: StepTimes): number | undefined =>
  kernels_ms === undefined ? undefined : Math.max(0, 1 - kernels_ms / row.median_ms);

function stepLines(steps: readonly StepTimes[], torch: readonly TorchTimes[]): string[] {
  const modes = [...new Set(torch.map(({ mode }) => mode))];
  const head = [
    ...["preset", "size", "batch", "step, ms", "images/s", "kernels, ms", "GPU idles", "dispatches", "submits"],
    ...modes.map((mode) => `PyTorch ${mode}, ms`),
    ...modes.map((mode) => `ours over PyTorch ${mode}`),
  ];
  return table(
    head,
    steps.map((step) => {
      const { preset = "", size, batch, median_ms, counts } = step.row;
      const idle = idleShare(step);
      // PyTorch's are of N.
      const theirs = (mode: string): number | undefined =>
        preset === "n"
          ? torch.find((peer) => peer.mode === mode && peer.size === size && peer.batch === batch)?.train_step_ms[0]
          : undefined;
      return [
        preset,
        String(size),
        String(batch),
        milliseconds(median_ms),
        ((1000 * batch) / median_ms).toFixed(2),
        step.kernels_ms === undefined ? "no timestamps here" : milliseconds(step.kernels_ms),
        idle === undefined ? "" : `${(100 * idle).toFixed(0)} %`,
        String(counts?.last.dispatches ?? ""),
        String(counts?.last.submits ?? ""),
        ...modes.map((mode) => theirs(mode)?.toFixed(1) ?? ""),
        ...modes.map((mode) => {
          const peer = theirs(mode);
          return peer === undefined ? "" : (median_ms / peer).toFixed(2);
        }),
      ];
    }),
  );
}

/** Ops of a step that are listed. */
const SLOWEST = 10;

function slowestLines({ row, profile }: StepTimes): string[] {
  if (!profile) return [];
  const onDevice = (op: OpProfile): number => op.milliseconds ?? 0;
  const all = profile.ops.reduce((sum, op) => sum + onDevice(op), 0);
  const slowest = [...profile.ops].sort((a, b) => onDevice(b) - onDevice(a)).slice(0, SLOWEST);
  const rows = slowest
    .filter((op) => onDevice(op) > 0)
    .map((op) => {
      const { rate = "", ceiling } = sharesOf(op, profile);
      return [`${op.op} ${op.variant}`, percent(onDevice(op) / all), rate, percent(ceiling)];
    });
  const head = [`slowest of ${row.preset}`, "of kernels' time", "rate", "of ceiling"];
  return table(head, rows);
}

/** A section for docs/results.md. */
export function gpuSection(findings: GpuFindings): string {
  const { device, host, date, checks, kernels, steps, ceiling, torch = [] } = findings;
  return [
    `## On ${device}`,
    "",
    `Measured by \`npm run gpu\` on ${date}; ${host}.`,
    "",
    ...Object.entries(checks).map(([name, outcome]) => `- ${name}: ${outcome}`),
    "",
    ...(ceiling
      ? [
          `The device reached ${ceiling.gflops.toFixed(0)} GFLOP/s in a product and ${ceiling.gbps.toFixed(0)} GB/s in a copy.`,
          "",
        ]
      : []),
    ...kernelLines(kernels, ceiling),
    ...stepLines(steps, torch),
    ...steps.flatMap(slowestLines),
  ]
    .join("\n")
    .trimEnd();
}
