import { expect, test } from "vitest";
import { cocoDataset } from "../../data/parseCoco.ts";
import { evaluateDetections } from "../../evaluation/cocoEval.ts";
import { renderReport } from "./report.ts";

const truth = cocoDataset(
  {
    images: [{ id: 1, file_name: "a.png", width: 20, height: 20 }],
    categories: [{ id: 3, name: "<cat>" }],
    annotations: [{ id: 1, image_id: 1, category_id: 3, bbox: [2, 2, 10, 10] }],
  },
  "truth.json",
);
const data = {
  title: "run & co",
  steps: [
    [1, 30],
    [2, 20],
  ] as const,
  epochs: [{ epoch: 1, loss: 25, ap: 0.25, ap50: 0.5 }],
  evaluation: evaluateDetections(truth, [{ imageId: 1, categoryId: 3, bbox: [2, 2, 10, 10], score: 0.9 }]),
  images: [
    {
      name: "a.png",
      source: "data:image/png;base64,AAAA",
      width: 20,
      height: 20,
      objects: [{ label: "<cat>", classId: 0, score: 0.875, box: { xmin: 2, ymin: 2, xmax: 12, ymax: 12 } }],
      truth: [[2, 2, 10, 10]] as const,
    },
  ],
  config: "train:\n  batch: 8",
  environment: { node: "v24" },
};

test("holds curves, the twelve numbers, classes, boxes and configuration", () => {
  const html = renderReport(data);
  for (const text of ["run &amp; co", "AP50", "ARl", "&lt;cat&gt; 0.88", "batch: 8", "v24"])
    expect(html).toContain(text);
  expect(html.match(/<rect /g)?.length).toBe(2);
  expect(html.match(/<svg class="chart"/g)?.length).toBe(2);
});

test("needs nothing beside itself and lets no name become markup", () => {
  const html = renderReport(data);
  expect(html).not.toMatch(/<script|https?:|<link/);
  expect(html).not.toContain("<cat>");
});

test("a run without evaluation or images leaves those parts out", () => {
  const html = renderReport({ ...data, epochs: [], steps: [], evaluation: undefined, images: [] });
  expect(html).not.toContain("Evaluation");
  expect(html).not.toContain("Predictions");
  expect(html).not.toContain("NaN");
});
