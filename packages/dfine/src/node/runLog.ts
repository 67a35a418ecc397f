import { readFile } from "node:fs/promises";
import { cocoStats } from "../evaluation/cocoStats.ts";
import { parseJson } from "../parseJson.ts";
import { appendText, writeFileAtomic } from "./checkpointFile.ts";
import type { RunFolder } from "./runFolder.ts";

/** Any line of events.jsonl; `epoch` counts from 0, `step` from 1. */
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

/** Writes what happens in a run to its folder. Lines are whole or absent, and a resumed run takes back what it will repeat. */
export class RunLog {
  readonly #run: RunFolder;

  constructor(run: RunFolder) {
    this.#run = run;
  }

  /** Starts results.csv, or cuts both logs back to what happened before step `step` of epoch `epoch`. */
  async open(position?: { epoch: number; step: number }): Promise<void> {
    const header = `${RESULT_COLUMNS.join(",")}\n`;
    if (!position) {
      await writeFileAtomic(this.#run.results, header);
      await writeFileAtomic(this.#run.events, "");
      return;
    }
    const rows = (await readText(this.#run.results)).split("\n").slice(1);
    const kept = rows.filter((row) => row !== "" && Number.parseInt(row, 10) <= position.epoch);
    await writeFileAtomic(this.#run.results, header + kept.map((row) => `${row}\n`).join(""));
    const lines = (await readEvents(this.#run.events)).filter(
      ({ kind, epoch, step }) => step <= position.step && (kind !== "epoch" || epoch < position.epoch),
    );
    await writeFileAtomic(this.#run.events, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  }

  /** Adds a line to events.jsonl. @throws FileWriteError */
  async event(line: LogLine): Promise<void> {
    await appendText(this.#run.events, `${JSON.stringify(line)}\n`);
  }

  /** Adds a row to results.csv. @throws FileWriteError */
  async row(row: ResultsRow): Promise<void> {
    await appendText(this.#run.results, `${RESULT_COLUMNS.map((column) => row[column] ?? "").join(",")}\n`);
  }
}

/** The lines of events.jsonl; one that a crash cut short is left out. */
export async function readEvents(path: string): Promise<LogLine[]> {
  const lines = (await readText(path)).split("\n").map(parseJson);
  return lines.filter((line) => line !== undefined) as LogLine[];
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}
