import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { expect, test } from "vitest";
import { cocoDataset } from "../../data/parseCoco.ts";
import { evaluateDetections } from "../../evaluation/cocoEval.ts";
import { explainDetections } from "../../evaluation/explain.ts";
import { renderReport, reportParts } from "./report.ts";
import { StepCurves } from "./stepCurves.ts";

const NAME = "<cat></script><script>alert(1)//";
const truth = cocoDataset(
  {
    images: [{ id: 1, file_name: "a.png", width: 20, height: 20 }],
    categories: [{ id: 3, name: NAME }],
    annotations: [{ id: 1, image_id: 1, category_id: 3, bbox: [2, 2, 10, 10] }],
  },
  "truth.json",
);
const detections = [{ imageId: 1, categoryId: 3, bbox: [2, 2, 10, 10], score: 0.875 }] as const;
const result = evaluateDetections(truth, detections);
const explanation = explainDetections(truth, detections);
const steps = new StepCurves();
steps.add(1, { loss: 30, loss_vfl: 1, loss_vfl_dn_0: 2, learningRate: 1e-4 });
steps.add(2, { loss: 20, loss_vfl: 0.5, loss_vfl_dn_0: Number.NaN, learningRate: 2e-4 });
const box = { xmin: 2, ymin: 2, xmax: 12, ymax: 12 };
const data = {
  title: "run & co",
  steps,
  epochs: [{ epoch: 1, loss: 25, stats: { AP: 0.25, AP50: 0.5, AP75: -1 } }],
  evaluation: { result, explanation, layers: [{ ...result.stats, AP: 0.125 }, result.stats] },
  images: [
    {
      name: "a.png",
      source: "data:image/png;base64,AAAA",
      width: 20,
      height: 20,
      objects: [{ label: NAME, classId: 0, score: 0.875, box }],
      truth: [{ label: NAME, classId: 0, box }],
    },
  ],
  config: "train:\n  batch: 8",
  environment: { node: "v24" },
};

test("holds the twelve numbers, classes, layers, the matrix, boxes and the folded configuration", () => {
  const html = renderReport(data);
  for (const text of ["run &amp; co", "AP50", "ARl", "0.125", "best threshold", "batch: 8", "v24", "1 of 1: "])
    expect(html).toContain(text);
  expect(html.match(/<g class="box"/g)?.length).toBe(2);
  expect(html).toMatch(/<details><summary>Configuration/);
});

test("no name becomes markup or program, and no other program may run", () => {
  const html = renderReport(data);
  expect(html).not.toContain("<cat>");
  expect(html).not.toContain("<script>alert");
  expect(html.match(/<script/g)?.length).toBe(2);
  expect(html).toMatch(/script-src 'sha256-[A-Za-z0-9+/]{43}='/);
  expect(JSON.parse(/id="charts">(.*?)<\/script>/s.exec(html)![1]!)).toEqual(
    JSON.parse(JSON.stringify(reportParts(data).charts)),
  );
});

test("needs nothing beside itself", () => {
  const html = renderReport(data);
  expect(html).not.toMatch(/<link|(src|href)="(?!data:|#)/);
  const folder = createRequire(import.meta.url).resolve("uplot/dist/uPlot.iife.min.js");
  expect(html).toContain(readFileSync(folder, "utf8"));
});

test("each loss term has its line in the chart of its kind", () => {
  const { charts } = reportParts(data);
  const terms = charts.find(({ id }) => id === "term-loss_vfl")!;
  expect(terms.x).toEqual([1, 2]);
  expect(terms.lines.map(({ name, values }) => [name, values])).toEqual([
    ["last layer", [1, 0.5]],
    ["dn 0", [2, null]],
  ]);
  const { lines } = charts.find(({ id }) => id === "ap")!;
  expect(lines.map(({ name, values }) => [name, values])).toEqual([
    ["AP", [0.25]],
    ["AP50", [0.5]],
    ["AP75", [null]],
  ]);
});

test("every chart has its place", () => {
  const { sections, charts } = reportParts(data);
  const html = [...sections.values()].join("");
  expect(charts.length).toBeGreaterThan(6);
  for (const { id } of charts) expect(html.split(`data-chart="${id}"`)).toHaveLength(2);
});

test("a run without evaluation or images leaves those parts out", () => {
  const html = renderReport({ title: "t", images: [], environment: {} });
  expect(html).not.toMatch(/<h2>|NaN|undefined</);
});
