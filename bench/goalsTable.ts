import { profileTable } from "@dfine/tensor";
import { PROFILED_RUNS } from "./profile.ts";
import type { Implementation, Row } from "./row.ts";

/** A promise: ours as a share of another's time or memory, at most so much. */
export interface Goal {
  readonly work: string;
  /** Name of the rows that are compared. */
  readonly name: string;
  readonly peer: Implementation;
  readonly of: "time" | "memory";
  readonly must: number;
  readonly goal: number;
}

const times = (faster: number): number => 1 / faster;
const onnx = (work: string, name: string, web: readonly [number, number], node?: readonly [number, number]): Goal[] => [
  { work, name, peer: "onnxruntime-web", of: "time", must: times(web[0]), goal: times(web[1]) },
  ...(node ? [{ work, name, peer: "onnxruntime-node", of: "time", must: node[0], goal: node[1] } as const] : []),
];

/** What is promised of two cores, in the order in which it is shown. */
export const GOALS: readonly Goal[] = [
  ...onnx("inference of N at 640", "dfine_n", [2.4, 3], [1.6, 1.3]),
  ...onnx("inference of S at 640", "dfine_s", [2.4, 3], [1.95, 1.6]),
  ...onnx("matmul 1024", "matmul_1024", [2.7, 3.2]),
  ...onnx("3×3 convolution, 64 → 64 at 160", "conv3x3_64_64_160", [2.7, 3.2]),
  ...onnx("1×1 convolution, 256 → 256 at 80", "conv1x1_256_256_80", [1.8, 3.2]),
  { work: "step of N, 320, batch 4", name: "train_n", peer: "pytorch", of: "time", must: 0.85, goal: 0.7 },
  { work: "step of S, 320, batch 4", name: "train_s", peer: "pytorch", of: "time", must: 0.95, goal: 0.75 },
  ...(["n", "s"] as const).flatMap((preset): Goal[] => {
    const start = `first detection of ${preset.toUpperCase()}`;
    const [whole, own] = [`first_detection_${preset}`, `open_and_run_${preset}`];
    return [
      { work: `${start}, since the process began`, name: whole, peer: "before", of: "time", must: 1, goal: 1 },
      { work: `${start}, weights and first run`, name: own, peer: "onnxruntime-web", of: "time", must: 1, goal: 0.5 },
    ];
  }),
  { work: "memory of a step of N", name: "train_n", peer: "before", of: "memory", must: 1, goal: 0.8 },
  { work: "memory of a step of S", name: "train_s", peer: "before", of: "memory", must: 1, goal: 0.8 },
];

/** A table in Markdown; the first column is text, the others are numbers. */
export const markdown = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map((_, i) => (i === 0 ? "---" : "---:")), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

export const milliseconds = (value: number): string => value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);

const amount = (row: Row, of: Goal["of"]): number | undefined => (of === "time" ? row.median_ms : row.peak_bytes);
const shown = (row: Row, of: Goal["of"]): string =>
  of === "time"
    ? `${[row.min_ms, row.median_ms, row.max_ms].map(milliseconds).join(" / ")} ms (${row.runs})`
    : `${(row.peak_bytes! / 1e6).toFixed(0)} MB`;

/** A share as it is spoken of: below a half and a bit, how many times as fast. */
const spoken = (share: number, { of, peer }: Goal): string =>
  of === "time" && peer === "onnxruntime-web" ? `${(1 / share).toFixed(2)}× as fast` : `${share.toFixed(2)} of it`;

/** Whether a row is of the sizes that goals are about. */
const isOfGoals = ({ work, size, batch }: Row): boolean =>
  work === "train" ? size === 320 && batch === 4 : work !== "infer" || size === 640;

const findRow = (rows: readonly Row[], name: string, by: Implementation): Row | undefined =>
  rows.find((row) => row.name === name && row.implementation === by && isOfGoals(row));

const NOT_MEASURED = "not measured";

/** What was promised and what was measured: least, middle and largest of (so many) runs, by the medians. */
export function goalsTable(rows: readonly Row[], goals: readonly Goal[] = GOALS): string {
  const lines = goals.map((goal) => {
    const { work, name, peer, of, must, goal: wish } = goal;
    const [ours, theirs] = [findRow(rows, name, "ours"), findRow(rows, name, peer)];
    const [own, other] = [ours && amount(ours, of), theirs && amount(theirs, of)];
    const limits = [spoken(must, goal), spoken(wish, goal)];
    const cells = [ours ? shown(ours, of) : "", `${peer}${theirs ? `: ${shown(theirs, of)}` : ""}`];
    if (own === undefined || other === undefined) return [work, ...cells, NOT_MEASURED, ...limits, ""];
    const share = own / other;
    const verdict = share <= wish ? "goal" : share <= must ? "must" : "not reached";
    return [work, ...cells, spoken(share, goal), ...limits, verdict];
  });
  return markdown(["work", "ours", "beside", "ours is", "must", "goal", "reached"], lines);
}

const SPEEDS: Readonly<Record<string, string>> = {
  dfine_n: "D-FINE-N, 640 × 640, one image",
  dfine_s: "D-FINE-S, 640 × 640, one image",
  matmul_1024: "matmul 1024³",
  conv3x3_64_64_160: "3×3 convolution, 64 → 64, 160 × 160",
  conv1x1_256_256_80: "1×1 convolution, 256 → 256, 80 × 80",
  conv5x5_depthwise_256_80: "depthwise 5×5, 256, 80 × 80",
  train_n: "training step of N, 320 × 320, batch 4",
  train_s: "training step of S, 320 × 320, batch 4",
};
const PEERS = ["onnxruntime-web", "onnxruntime-node", "pytorch"] as const;

/** Medians in milliseconds beside those of peers, and how many times as fast as they ours is: the README's table. */
export function speedTable(rows: readonly Row[]): string {
  const lines = Object.entries(SPEEDS).map(([name, work]) => {
    const ours = findRow(rows, name, "ours");
    const peers = PEERS.map((peer) => {
      const theirs = findRow(rows, name, peer);
      if (!ours || !theirs) return "";
      return `${milliseconds(theirs.median_ms)} (${(theirs.median_ms / ours.median_ms).toFixed(2)}×)`;
    });
    return [work, ours ? `**${milliseconds(ours.median_ms)}**` : NOT_MEASURED, ...peers];
  });
  return markdown(["milliseconds", "ours", ...PEERS], lines);
}

/** A table whose rows that were not measured are those of a known table, where it has rows of the same work and peer. */
export function withKnownRows(table: string, known: string): string {
  const keyOf = (line: string): string => {
    const [, work, , peer = ""] = line.split("|");
    return `${work}|${/^ [a-z-]+/.exec(peer)?.[0] ?? ""}`;
  };
  const rows = new Map(known.split("\n").map((line) => [keyOf(line), line]));
  const isUnknown = (line: string): boolean => line.split(" | ").includes(NOT_MEASURED);
  return table
    .split("\n")
    .map((line) => (isUnknown(line) ? (rows.get(keyOf(line)) ?? line) : line))
    .join("\n");
}

/** Where the time of steps goes, ours and before. */
export const profilesText = (rows: readonly Row[]): string =>
  rows
    .flatMap(({ name, implementation, threads, profile }) =>
      profile
        ? [`${name}, ${implementation}, threads ${threads}:\n\n\`\`\`\n${profileTable(profile, PROFILED_RUNS)}\n\`\`\``]
        : [],
    )
    .join("\n\n");
