import { readFile } from "node:fs/promises";
import { cocoStats } from "../evaluation/cocoStats.ts";
import { parseJson } from "../parseJson.ts";
import { appendTo, writeFileAtomic } from "./checkpointFile.ts";
import type { RunFolder } from "./runFolder.ts";

/** Any line of events.jsonl; `epoch` and `step` count from 1. */
export type LogLine = { readonly kind: string; readonly epoch: number; readonly step: number } & {
  readonly [key: string]: unknown;
};

/** A row of results.csv by column; a column that it lacks stays empty. */
export type ResultsRow = Readonly<Record<string, number>>;

/** Columns of results.csv. `epoch` counts from 1 as people do; losses are means over the epoch, weighted. */
const RESULT_COLUMNS = [
  "epoch",
  "step",
  "seconds",
  "loss",
  "loss_vfl",
  "loss_bbox",
  "loss_giou",
  "loss_fgl",
  "learning_rate",
  "skipped",
  ...cocoStats.map(({ name }) => name),
] as const;

const rowText = (cells: readonly (string | number)[]): string => `${cells.join(",")}\n`;
const lineText = (line: LogLine): string => `${JSON.stringify(line)}\n`;

/**
 * Starts both logs of a run, whose lines are whole or absent; or, where it goes on, cuts them back to what happened up to step
 * `step`, when `epoch` epochs were done: the rest will be repeated. @throws FileWriteError
 */
export async function openLogs({ results, events }: RunFolder, position = { epoch: 0, step: -1 }): Promise<void> {
  const rows = (await readText(results)).split("\n").slice(1);
  const kept = rows.filter((row) => row !== "" && Number.parseInt(row, 10) <= position.epoch);
  await writeFileAtomic(results, [rowText(RESULT_COLUMNS), ...kept.map((row) => rowText([row]))].join(""));
  const lines = (await readEvents(events)).filter(
    ({ kind, epoch, step }) =>
      step <= position.step &&
      !(kind === "epoch" && epoch > position.epoch) &&
      !(kind === "stage" && step === position.step),
  );
  await writeFileAtomic(events, lines.map(lineText).join(""));
}

/** Adds a line to events.jsonl. @throws FileWriteError */
export const logEvent = ({ events }: RunFolder, line: LogLine): Promise<void> => appendTo(events, lineText(line));

/** Adds a row to results.csv. @throws FileWriteError */
export const logRow = ({ results }: RunFolder, row: ResultsRow): Promise<void> =>
  appendTo(results, rowText(RESULT_COLUMNS.map((column) => row[column] ?? "")));

/** The lines of events.jsonl; one that a crash cut short is left out. Of files whose epochs count from 0 they are counted anew. */
export async function readEvents(path: string): Promise<LogLine[]> {
  const parsed = (await readText(path)).split("\n").map(parseJson);
  const lines = parsed.filter((line): line is LogLine => typeof line === "object" && line !== null);
  const first = lines.some(({ epoch }) => epoch === 0) ? 0 : 1;
  return lines.map((line) => ({ ...line, epoch: line.epoch + 1 - first }));
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}
