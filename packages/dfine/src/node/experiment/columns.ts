import type { PaperNumbers } from "./experiment.ts";
import type { Difference, RowResult } from "./results.ts";

/** A column of a table of results. */
export interface Column {
  readonly title: string;
  /** As people read it; empty where nothing is known. */
  readonly text: (row: RowResult) => string;
  /** As programs read it, in the units of `RowResult`. */
  readonly value: (row: RowResult) => number | string | undefined;
}

const percent = (share: number): string => (100 * share).toFixed(1);
const signed = (share: number): string => `${share < 0 ? "−" : "+"}${percent(Math.abs(share))}`;

/** A number of ours and beside it the paper's. */
const pair = (
  title: string,
  show: (value: number) => string,
  [key, ours]: readonly [keyof PaperNumbers, (row: RowResult) => number | null | undefined],
): Column[] => [
  { title, value: (row) => ours(row) ?? undefined, text: (row) => shown(ours(row), show) },
  { title: `${title}, paper`, value: ({ paper }) => paper[key], text: ({ paper }) => shown(paper[key], show) },
];

const shown = (value: number | null | undefined, show: (value: number) => string): string =>
  typeof value === "number" && Number.isFinite(value) ? show(value) : "";

/** Whether a difference is larger than what seeds alone make; undefined where it cannot be told. */
export const isClear = ({ ap, noise }: Difference): boolean | undefined =>
  ap === null || noise === undefined ? undefined : Math.abs(ap) > noise;

function differenceText({ difference }: RowResult): string {
  if (!difference || difference.ap === null) return "";
  const { ap, noise } = difference;
  const clear = isClear(difference) === false ? " (noise)" : "";
  return `${signed(ap)}${noise === undefined ? "" : ` ± ${percent(noise)}`}${clear}`;
}

const ALL: readonly Column[] = [
  { title: "row", value: ({ label }) => label, text: ({ label }) => label },
  { title: "AP, %", value: ({ ap }) => ap ?? undefined, text: ({ ap, apSpread }) => apText(ap, apSpread) },
  { title: "seeds", value: ({ aps }) => aps.length, text: ({ aps }) => (aps.length === 0 ? "" : String(aps.length)) },
  { title: "AP, paper", value: ({ paper }) => paper.ap, text: ({ paper }) => shown(paper.ap, percent) },
  { title: "difference", value: ({ difference }) => difference?.ap ?? undefined, text: differenceText },
  {
    title: "difference, paper",
    value: ({ difference }) => difference?.paper,
    text: ({ difference }) => shown(difference?.paper, signed),
  },
  ...pair("parameters", (value) => (value % 1e6 === 0 ? `${value / 1e6} M` : value.toLocaleString("en")), [
    "parameters",
    ({ parameters }) => parameters,
  ]),
  ...pair("GFLOPs", (value) => value.toFixed(1), ["gflops", ({ gflops }) => gflops]),
  ...pair("latency, ms", (value) => value.toFixed(value < 100 ? 2 : 0), ["latencyMs", ({ latencyMs }) => latencyMs]),
  ...pair("s an epoch", (value) => value.toFixed(value < 10 ? 1 : 0), [
    "secondsPerEpoch",
    (row) => row.secondsPerEpoch,
  ]),
  ...pair("memory, MB", (value) => (value / 1e6).toFixed(0), ["peakBytes", ({ peakBytes }) => peakBytes]),
  {
    title: "AP by layer, %",
    value: ({ layers }) => (layers.length === 0 ? undefined : layers.map((ap) => ap.toFixed(4)).join(" ")),
    text: ({ layers }) => layers.map(percent).join(" · "),
  },
];

const apText = (ap: number | null, spread: number | undefined): string =>
  ap === null ? "" : `${percent(ap)}${spread === undefined ? "" : ` ± ${percent(spread)}`}`;

/** The columns in which some row has something. */
export const columnsOf = (rows: readonly RowResult[]): Column[] =>
  ALL.filter(({ text }) => rows.some((row) => text(row) !== ""));
