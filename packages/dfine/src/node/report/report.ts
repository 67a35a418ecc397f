import { escapeUTF8 as escapeHtml } from "entities/escape";
import type { CocoResult } from "../../evaluation/cocoEval.ts";
import { cocoStats } from "../../evaluation/cocoStats.ts";
import { averaged, lineChart } from "./chart.ts";
import { type GalleryImage, gallery } from "./gallery.ts";
import { page, table } from "./html.ts";

/** One epoch of a run's curves. */
export interface ReportEpoch {
  /** Counted from 1. */
  readonly epoch: number;
  readonly loss: number;
  /** Without an evaluation: undefined. */
  readonly ap?: number | undefined;
  readonly ap50?: number | undefined;
}

/** What a report shows. */
export interface ReportData {
  readonly title: string;
  /** Total loss of every step, by step. */
  readonly steps?: readonly (readonly [step: number, loss: number])[];
  readonly epochs?: readonly ReportEpoch[];
  readonly evaluation?: CocoResult | undefined;
  readonly images: readonly GalleryImage[];
  /** Resolved configuration as YAML. */
  readonly config?: string;
  /** Facts about machine and versions. */
  readonly environment: Readonly<Record<string, string | number>>;
  /** Sentences for the reader: what was mended in the data, what was skipped. */
  readonly notes?: readonly string[];
}

/** More points than a chart has room for only make the file larger. */
const CHART_POINTS = 250;

/** The whole story of a run as one HTML file that needs nothing beside itself. */
export function renderReport(data: ReportData): string {
  const sections = [
    `<h1>${escapeHtml(data.title)}</h1>`,
    summary(data),
    notes(data.notes ?? []),
    section("Training", curves(data)),
    section("Evaluation", data.evaluation ? evaluationTables(data.evaluation) : ""),
    section("Predictions", data.images.length > 0 ? pictures(data.images) : ""),
    section("Configuration", data.config ? `<pre>${escapeHtml(data.config)}</pre>` : ""),
    section("Environment", table(["", ""], Object.entries(data.environment))),
  ];
  return page(data.title, sections.filter((text) => text !== "").join("\n"));
}

const section = (title: string, body: string): string => (body === "" ? "" : `<h2>${escapeHtml(title)}</h2>\n${body}`);

function summary({ evaluation, epochs = [] }: ReportData): string {
  const last = epochs.at(-1);
  const facts: [string, string][] = [];
  if (evaluation) facts.push(["AP", evaluation.stats.AP.toFixed(3)], ["AP50", evaluation.stats.AP50.toFixed(3)]);
  if (last) facts.push(["epochs", String(last.epoch)], ["loss, last epoch", last.loss.toFixed(2)]);
  const items = facts.map(
    ([name, value]) => `<div><div class="big">${value}</div><div class="faint">${name}</div></div>`,
  );
  return items.length === 0 ? "" : `<div class="figures">${items.join("")}</div>`;
}

function notes(lines: readonly string[]): string {
  return lines.length === 0 ? "" : `<ul>${lines.map((line) => `<li>${escapeHtml(line)}</li>`).join("")}</ul>`;
}

function curves({ steps = [], epochs = [] }: ReportData): string {
  const loss = lineChart([{ name: "loss", points: averaged(steps, CHART_POINTS) }], {
    title: "Loss (sum of all terms)",
    xLabel: "step",
    yMin: 0,
  });
  const of = (key: "ap" | "ap50") => epochs.map((row) => [row.epoch, row[key] ?? Number.NaN] as const);
  const ap = lineChart(
    [
      { name: "AP", points: of("ap") },
      { name: "AP50", points: of("ap50") },
    ],
    { title: "Average precision of the averaged weights", xLabel: "epoch", yMin: 0 },
  );
  return loss + ap === "" ? "" : `<div class="figures">${loss}${ap}</div>`;
}

function evaluationTables({ stats, perCategory }: CocoResult): string {
  const shown = (value: number) => (value < 0 ? "–" : Number(value.toFixed(4)));
  const all = table(
    ["measure", "value"],
    cocoStats.map(({ name }) => [name, shown(stats[name])]),
  );
  const classes = table(
    ["class", "objects", "AP", "AP50"],
    perCategory.map(({ name, objects, ap, ap50 }) => [name, objects, shown(ap), shown(ap50)]),
  );
  return `<div class="figures">${all}${classes}</div>`;
}

function pictures(images: readonly GalleryImage[]): string {
  const dashed = images.some(({ truth }) => truth && truth.length > 0);
  return `${dashed ? '<p class="faint">Coloured: found. Dashed white: annotated.</p>\n' : ""}${gallery(images)}`;
}
