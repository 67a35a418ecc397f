import { escapeUTF8 as escapeHtml } from "entities/escape";
import type { CocoResult } from "../../evaluation/cocoEval.ts";
import { cocoStats } from "../../evaluation/cocoStats.ts";
import type { Evaluation } from "../../train/evaluate.ts";
import { type Chart, reportCharts } from "./charts.ts";
import { type GalleryImage, gallery } from "./gallery.ts";
import { bar, table } from "./html.ts";
import { matrixTable } from "./matrix.ts";
import { page, type ReportParts } from "./page.ts";
import type { ReportData } from "./reportData.ts";

/** The whole story of a run as one HTML file that needs nothing beside itself. */
export const renderReport = (data: ReportData): string => page(data.title, reportParts(data));

export function reportParts(data: ReportData): ReportParts {
  const charts = reportCharts(data);
  const { evaluation, mistakes } = data;
  const sections: Record<string, string> = {
    summary: summary(data) + notes(data.notes ?? []),
    training: section("Training", places(charts, ["loss", "ap", "rate", "norm"])),
    terms: section(
      "Loss terms",
      places(
        charts,
        charts.flatMap(({ id }) => (id.startsWith("term-") ? [id] : [])),
      ),
    ),
    evaluation: section("Evaluation", evaluation ? evaluationTables(evaluation) : ""),
    scores: section("Scores", places(charts, ["f1", "means", "pr"])),
    confusion: section("Confusion", evaluation ? matrixTable(evaluation.explanation.confusion) : ""),
    positives: mistakeSection("positives", "Worst false positives", mistakes?.falsePositives, evaluation),
    negatives: mistakeSection("negatives", "Worst misses", mistakes?.falseNegatives, evaluation),
    predictions: section("Predictions", data.images.length > 0 ? gallery("predictions", data.images) : ""),
    about: about(data),
  };
  return { sections: new Map(Object.entries(sections)), charts };
}

const section = (title: string, body: string): string => (body === "" ? "" : `<h2>${escapeHtml(title)}</h2>\n${body}`);

/** Where the page's script draws those of the charts that there are. */
export function places(charts: readonly Chart[], ids: readonly string[]): string {
  const known = charts.filter(({ id }) => ids.includes(id));
  const sorted = known.sort((a, b) => ids.indexOf(a.id) - ids.indexOf(b.id));
  const items = sorted.map(
    ({ id, title }) => `<div class="chart" data-chart="${escapeHtml(id)}"><h3>${escapeHtml(title)}</h3></div>`,
  );
  return items.length === 0 ? "" : `<div class="charts">${items.join("")}</div>`;
}

function summary({ evaluation, epochs = [] }: ReportData): string {
  const last = epochs.at(-1);
  const facts: [string, string][] = [];
  if (evaluation) {
    const { AP, AP50 } = evaluation.result.stats;
    const { best } = evaluation.explanation.curves.all;
    facts.push(["AP", shown(AP)], ["AP50", shown(AP50)]);
    if (best) facts.push(["best threshold", best.threshold.toFixed(2)], ["F1 there", best.f1.toFixed(3)]);
  }
  if (last) facts.push(["epochs", String(last.epoch)], ["loss, last epoch", last.loss.toFixed(2)]);
  const items = facts.map(
    ([name, value]) => `<div><div class="big">${value}</div><div class="faint">${name}</div></div>`,
  );
  return items.length === 0 ? "" : `<div class="figures">${items.join("")}</div>`;
}

function notes(lines: readonly string[]): string {
  return lines.length === 0 ? "" : `<ul>${lines.map((line) => `<li>${escapeHtml(line)}</li>`).join("")}</ul>`;
}

const shown = (value: number): string => (value < 0 ? "–" : value.toFixed(3));

function evaluationTables({ result, explanation, layers = [] }: NonNullable<ReportData["evaluation"]>): string {
  const { stats, perCategory } = result;
  const numbers = table(
    ["measure", "value"],
    cocoStats.map(({ name }) => [name, bar(stats[name])]),
  );
  const byLayer = table(
    ["decoder layer", "AP", "AP50"],
    layers.map(({ AP, AP50 }, i) => [String(i + 1), bar(AP), bar(AP50)]),
  );
  return `<div class="figures">${numbers}${layers.length > 1 ? `<div>${byLayer}<p class="faint">As if the model ended there.</p></div>` : ""}${classTable(perCategory, explanation.curves.perCategory)}</div>`;
}

function classTable(
  categories: CocoResult["perCategory"],
  curves: Evaluation["explanation"]["curves"]["perCategory"],
): string {
  return table(
    ["class", "objects", "AP", "AP50", "best threshold", "F1", "precision", "recall"],
    categories.map(({ name, objects, ap, ap50 }, label) => {
      const best = curves[label]?.best;
      const at = best ? [best.threshold, best.f1, best.precision, best.recall] : [-1, -1, -1, -1];
      return [name, objects, bar(ap), bar(ap50), ...at.map((value) => ({ html: shown(value) }))];
    }),
  );
}

function mistakeSection(
  id: "positives" | "negatives",
  title: string,
  images: readonly GalleryImage[] = [],
  evaluation: ReportData["evaluation"],
): string {
  if (!evaluation) return "";
  const { counts, threshold } = evaluation.explanation.mistakes;
  const kinds = Object.entries(id === "positives" ? counts.falsePositives : counts.falseNegatives);
  const all = kinds.reduce((sum, [, count]) => sum + count, 0);
  const said = all === 0 ? "None" : `${all}: ${kinds.map(([kind, count]) => `${count} ${kind}`).join(", ")}`;
  return section(
    title,
    `<p class="faint">${said}, at scores from ${threshold.toFixed(2)}.</p>${images.length > 0 ? gallery(id, images) : ""}`,
  );
}

function about({ config, environment }: ReportData): string {
  const folded = (title: string, body: string) => `<details><summary>${title}</summary>\n${body}</details>`;
  return (
    (config === undefined ? "" : folded("Configuration", `<pre>${escapeHtml(config)}</pre>`)) +
    folded("Environment", table(["", ""], Object.entries(environment)))
  );
}
