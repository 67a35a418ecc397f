import type { Row } from "./row.ts";
import { speedRatio } from "./table.ts";

/** A training step of one preset on the device. */
export interface StepTimes {
  readonly row: Row;
  /** Sum of the times of a step's kernels; undefined where the device tells no times. */
  readonly kernels_ms: number | undefined;
}

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
}

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string[] =>
  rows.length === 0 ? [] : [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).concat("");

const milliseconds = (value: number): string => value.toFixed(value < 10 ? 3 : 1);

function kernelLines(rows: readonly Row[]): string[] {
  const peers = [...new Set(rows.map(({ implementation }) => implementation))].filter((name) => name !== "ours");
  const ours = rows.filter(({ implementation }) => implementation === "ours");
  const head = [
    "kernel",
    "ours, ms",
    "GFLOP/s or GB/s",
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

function stepLines(steps: readonly StepTimes[]): string[] {
  const head = ["preset", "size", "batch", "step, ms", "images/s", "kernels, ms", "GPU idles", "dispatches", "submits"];
  return table(
    head,
    steps.map((step) => {
      const { preset = "", size, batch, median_ms, counts } = step.row;
      const idle = idleShare(step);
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
      ];
    }),
  );
}

/** A section for docs/results.md. */
export function gpuSection({ device, host, date, checks, kernels, steps }: GpuFindings): string {
  return [
    `## On ${device}`,
    "",
    `Measured by \`npm run gpu\` on ${date}; ${host}.`,
    "",
    ...Object.entries(checks).map(([name, outcome]) => `- ${name}: ${outcome}`),
    "",
    ...kernelLines(kernels),
    ...stepLines(steps),
  ]
    .join("\n")
    .trimEnd();
}
