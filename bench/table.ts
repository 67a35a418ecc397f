import { profileTable } from "@dfine/tensor";
import type { Counts } from "./counts.ts";
import { PROFILED_RUNS } from "./profile.ts";
import type { NotRun, Row } from "./row.ts";

type Cells = readonly string[];

export const COLUMNS: Cells = ["work", "threads", "implementation", "median", "min", "max", "runs", "rate", "ours is"];
const WIDTHS = [34, 7, 16, 10, 10, 10, 4, 14, 14];

/** Text is aligned left, numbers right. */
const line = (cells: Cells): string =>
  cells.map((cell, i) => (i === 0 || i === 2 ? cell.padEnd(WIDTHS[i]!) : cell.padStart(WIDTHS[i]!))).join("  ");

const milliseconds = (value: number): string => `${value.toFixed(value < 10 ? 3 : value < 1000 ? 1 : 0)} ms`;
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;

const countsText = ({ dispatches, copies, submits, reads, pipelines, allocatedBytes }: Counts): string =>
  `${dispatches} dispatches, ${copies} copies, ${submits} submits, ${reads} reads, ${pipelines} pipelines compiled, ${megabytes(allocatedBytes)} of buffers created`;

function rate({ gflops, gbps }: Row): string {
  if (gflops !== undefined) return `${gflops.toFixed(1)} GFLOP/s`;
  return gbps === undefined ? "" : `${gbps.toFixed(1)} GB/s`;
}

const label = ({ work, name, size, batch }: Row): string =>
  work === "kernel" ? name : `${name}, ${size}, batch ${batch}`;

/** How many times as fast as a peer ours is, by medians. */
export const speedRatio = (ours: Row, peer: Row): number => peer.median_ms / ours.median_ms;

/** Works and peer for which the project promises a speed, and the least share of the peer's. */
const FLOOR = {
  peer: "onnxruntime-web",
  share: 0.5,
  names: ["matmul_1024", "conv3x3_64_64_160", "conv1x1_256_256_80", "dfine_n", "dfine_s"],
};

/** On WebGPU: works, of which none may be slower than the better of these peers. */
const WEBGPU_FLOOR = {
  peers: ["jax-js", "tfjs"],
  names: ["matmul_1024", "conv3x3_64_64_160", "conv3x3_64_64_160_input_gradient", "conv3x3_64_64_160_weight_gradient"],
};

function webgpuFloorLines(rows: readonly Row[]): string[] {
  return WEBGPU_FLOOR.names.flatMap((name) => {
    const measured = rows.filter((row) => row.name === name);
    const ours = measured.find(({ implementation }) => implementation === "ours");
    const peers = measured.filter(({ implementation }) => WEBGPU_FLOOR.peers.includes(implementation));
    // jax-js alone runs on the CPU too.
    if (!ours || peers.length < WEBGPU_FLOOR.peers.length) return [];
    const better = peers.reduce((best, peer) => (peer.median_ms < best.median_ms ? peer : best));
    const ratio = speedRatio(ours, better);
    return [
      `floor of the better WebGPU peer ${ratio >= 1 ? "holds" : "does not hold"}: ${name}: ${ratio.toFixed(2)}× as fast as ${better.implementation}`,
    ];
  });
}

/** What became of the promised speeds, for those that were measured. */
export function floorLines(rows: readonly Row[]): string[] {
  const held = rows
    .filter(({ implementation, name }) => implementation === FLOOR.peer && FLOOR.names.includes(name))
    .map((peer) => {
      const ours = rows.find(
        ({ implementation, name, threads }) =>
          implementation === "ours" && name === peer.name && threads === peer.threads,
      )!;
      const ratio = speedRatio(ours, peer);
      const verdict = ratio >= FLOOR.share ? "holds" : "does not hold";
      return `floor of ${FLOOR.share}× ${FLOOR.peer} ${verdict}: ${peer.name}, threads ${peer.threads}: ${ratio.toFixed(2)}×`;
    });
  return [...held, ...webgpuFloorLines(rows)];
}

export const HEADER = `${line(COLUMNS)}\n${line(WIDTHS.map((width) => "─".repeat(width)))}`;

/** Lines of a work: its rows, ours first, and what was not run. */
export function workLines(rows: readonly Row[], notRun: readonly NotRun[]): string[] {
  const ours = rows.find(({ implementation }) => implementation === "ours");
  const measured = rows.map((row) =>
    line([
      row === ours ? label(row) : "",
      String(row.threads),
      row.implementation,
      ...[row.median_ms, row.min_ms, row.max_ms].map(milliseconds),
      String(row.runs),
      rate(row),
      ours && row !== ours ? `${speedRatio(ours, row).toFixed(2)}× as fast` : "",
    ]).trimEnd(),
  );
  const memory =
    ours?.work !== "kernel" && ours?.peak_bytes !== undefined && ours.rss_bytes !== undefined
      ? [`  allocator's high-water mark ${megabytes(ours.peak_bytes)}, resident ${megabytes(ours.rss_bytes)}`]
      : [];
  const counts =
    ours?.work !== "kernel" && ours?.counts
      ? [`  first run: ${countsText(ours.counts.first)}`, `  last run: ${countsText(ours.counts.last)}`]
      : [];
  const learned = rows.flatMap(({ implementation, learned }) =>
    learned ? [`  ${implementation}: first loss ${learned.loss.toFixed(4)}, ${learned.parameters} weights learn`] : [],
  );
  const profiles = rows.flatMap(({ implementation, profile }) =>
    profile
      ? [`  ${implementation}, mean of ${PROFILED_RUNS} runs:`, ...profileTable(profile, PROFILED_RUNS).split("\n")]
      : [],
  );
  const missing = notRun.map(({ threads, implementation, reason }) =>
    line(["", String(threads), implementation, `not run: ${reason}`]).trimEnd(),
  );
  return [...measured, ...memory, ...counts, ...learned, ...missing, ...profiles];
}
