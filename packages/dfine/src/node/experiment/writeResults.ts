import { join } from "node:path";
import { escapeUTF8 as escapeHtml } from "entities/escape";
import { writeFileAtomic } from "../checkpointFile.ts";
import type { Chart } from "../report/charts.ts";
import { table } from "../report/html.ts";
import { page } from "../report/page.ts";
import { places } from "../report/report.ts";
import { columnsOf } from "./columns.ts";
import type { RowResult } from "./results.ts";

/** What a table of results is about. */
export interface ResultTable {
  readonly title: string;
  /** Of the paper's numbers. */
  readonly source: string;
  /** How ours were measured, in a sentence. */
  readonly ours: string;
  readonly rows: readonly RowResult[];
}

const NOISE =
  "± after an AP is the standard deviation over seeds; after a difference twice the standard error of its mean, both rows with the same seeds. (noise): no larger than that.";
const SCALE =
  "Another scale than the paper's: the numbers are not to be compared, the signs of the differences may be.";

/** The sentences under a table: how it was measured, and what is known of single rows. */
function notesOf({ source, ours, rows }: ResultTable): string[] {
  const about = rows.flatMap(({ label, note }) => (note === undefined ? [] : [`${label}: ${note}`]));
  return [`Ours: ${ours}`, `Paper: ${source}`, SCALE, ...(rows.some(({ ap }) => ap !== null) ? [NOISE] : []), ...about];
}

/** A table in Markdown, with its notes. */
export function resultMarkdown(about: ResultTable): string {
  const columns = columnsOf(about.rows);
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [
    `## ${about.title}\n`,
    line(columns.map(({ title }) => title)),
    line(columns.map((_, i) => (i === 0 ? "---" : "---:"))),
    ...about.rows.map((row) => line(columns.map(({ text }) => text(row)))),
    "",
    ...notesOf(about).map((note) => `- ${note}`),
    "",
  ].join("\n");
}

/** The same as comma-separated values, numbers in their own units. */
export function resultCsv({ rows }: Pick<ResultTable, "rows">): string {
  const columns = columnsOf(rows);
  const cell = (value: number | string | undefined): string => {
    const text = String(value ?? "");
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [columns.map(({ title }) => title), ...rows.map((row) => columns.map(({ value }) => value(row)))];
  return lines.map((cells) => `${cells.map(cell).join(",")}\n`).join("");
}

/** The same as a page, with how AP rises from layer to layer. */
function resultPage(about: ResultTable): string {
  const columns = columnsOf(about.rows);
  const charts = layerCharts(about.rows);
  const cells = about.rows.map((row) => columns.map(({ text }) => text(row)));
  const notes = notesOf(about).map((note) => `<li>${escapeHtml(note)}</li>`);
  const sections = new Map([
    [
      "table",
      table(
        columns.map(({ title }) => title),
        cells,
      ),
    ],
    ["notes", `<ul>${notes.join("")}</ul>`],
    ["layers", places(charts, ["layers"])],
  ]);
  return page(about.title, { sections, charts });
}

function layerCharts(rows: readonly RowResult[]): Chart[] {
  const shown = rows.filter(({ layers }) => layers.length > 1);
  if (shown.length === 0) return [];
  const most = Math.max(...shown.map(({ layers }) => layers.length));
  return [
    {
      ...{ id: "layers", title: "AP as if the model ended at a decoder layer", xLabel: "layer", yRange: [0, null] },
      x: Array.from({ length: most }, (_, i) => i + 1),
      lines: shown.map(({ label, layers }, i) => ({
        ...{ name: label, color: `hsl(${Math.round((360 * i) / shown.length)} 65% 45%)` },
        values: Array.from({ length: most }, (_, layer) => layers[layer] ?? null),
      })),
    },
  ];
}

/** Writes a table into a folder: table.md, table.csv, table.json, index.html. @throws FileWriteError */
export async function writeResults(folder: string, about: ResultTable): Promise<void> {
  const files: Record<string, string> = {
    "table.md": resultMarkdown(about),
    "table.csv": resultCsv(about),
    "table.json": `${JSON.stringify({ title: about.title, source: about.source, ours: about.ours, rows: about.rows }, null, 2)}\n`,
    "index.html": resultPage(about),
  };
  for (const [name, text] of Object.entries(files)) await writeFileAtomic(join(folder, name), text);
}
