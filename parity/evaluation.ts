import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseCoco } from "../packages/dfine/src/data/parseCoco.ts";
import { evaluateDetections } from "../packages/dfine/src/evaluation/cocoEval.ts";
import { cocoStats } from "../packages/dfine/src/evaluation/cocoStats.ts";
import { parseDetections } from "../packages/dfine/src/evaluation/detections.ts";
import { absoluteError } from "./compare.ts";
import type { Pack } from "./pack.ts";
import type { Report } from "./report.ts";

interface Entry {
  /** Annotation file, relative to the pack's folder. */
  readonly annotations: string;
  readonly stats: readonly number[];
  readonly ap_per_category: Readonly<Record<string, number>>;
}

const ALLOWED = 1e-9;

/** Holds the COCO evaluation against pycocotools' numbers. */
export function checkEvaluation(pack: Pack, report: Report): void {
  if (!pack.has("evaluation/stats.json")) return;
  for (const [name, entry] of Object.entries(pack.json<Record<string, Entry>>("evaluation/stats.json"))) {
    const detections = `evaluation/${name}_detections.json`;
    if (!pack.has(detections)) continue;
    if (!pack.has(entry.annotations)) {
      report.skip(`evaluation ${name}`, `${entry.annotations} is not there`);
      continue;
    }
    const path = resolve(pack.root, entry.annotations);
    const truth = parseCoco(readFileSync(path, "utf8"), path);
    const result = evaluateDetections(truth, parseDetections(pack.text(detections), detections));
    const stats = cocoStats.map((stat) => result.stats[stat.name]);
    report.compare(`evaluation ${name} 12 numbers`, absoluteError(stats, entry.stats), ALLOWED);
    const expected = Object.entries(entry.ap_per_category);
    const found = new Map(result.perCategory.map(({ categoryId, ap }) => [categoryId, ap]));
    const perCategory = expected.map(([id]) => found.get(Number(id)) ?? Number.NaN);
    const error = absoluteError(
      perCategory,
      expected.map(([, ap]) => ap),
    );
    report.compare(`evaluation ${name} AP per category`, error, ALLOWED);
  }
}
