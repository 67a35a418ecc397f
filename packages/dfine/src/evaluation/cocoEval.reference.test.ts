import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect } from "vitest";
import { shared, testWithShared } from "../../../../parity/referencePack.ts";
import { parseCoco } from "../data/parseCoco.ts";
import { evaluateDetections } from "./cocoEval.ts";
import { cocoStats } from "./cocoStats.ts";
import { parseDetections } from "./detections.ts";

interface Entry {
  readonly annotations: string;
  readonly stats: readonly number[];
  readonly ap_per_category: Readonly<Record<string, number>>;
}

testWithShared("COCO evaluation equals pycocotools", "reference/evaluation/stats.json", (path) => {
  const entries = Object.entries(JSON.parse(readFileSync(path, "utf8")) as Record<string, Entry>);
  expect(entries.length).toBeGreaterThan(0);
  for (const [name, { annotations, stats, ap_per_category: perCategory }] of entries) {
    const truthPath = resolve(shared, "reference", annotations);
    expect(existsSync(truthPath), truthPath).toBe(true);
    const truth = parseCoco(readFileSync(truthPath, "utf8"), truthPath);
    const found = `${shared}reference/evaluation/${name}_detections.json`;
    const detections = parseDetections(readFileSync(found, "utf8"), found);
    // Of the processor, which may have other work.
    const start = process.cpuUsage();
    const result = evaluateDetections(truth, detections);
    expect(process.cpuUsage(start).user / 1000, `${name}: milliseconds`).toBeLessThan(1000);
    cocoStats.forEach((stat, i) => {
      expect(Math.abs(result.stats[stat.name] - stats[i]!), `${name} ${stat.name}`).toBeLessThan(1e-9);
    });
    expect(result.perCategory).toHaveLength(Object.keys(perCategory).length);
    for (const { categoryId, ap } of result.perCategory) {
      expect(Math.abs(ap - perCategory[categoryId]!), `${name} category ${categoryId}`).toBeLessThan(1e-9);
    }
  }
});
