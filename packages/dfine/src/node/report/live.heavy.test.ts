import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser, Page } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium } from "../../../../../scripts/chromium.ts";
import { runCommand } from "../../../test/runCommand.ts";
import { tinyTrain } from "../../../test/tinyRun.ts";
import { cocoDataset } from "../../data/parseCoco.ts";
import { evaluateDetections } from "../../evaluation/cocoEval.ts";
import { explainDetections } from "../../evaluation/explain.ts";
import { makeDigits } from "../demo/digits.ts";
import { encodeImage } from "../draw.ts";
import { serveReport } from "./live.ts";
import { renderReport } from "./report.ts";
import { StepCurves } from "./stepCurves.ts";

let folder = "";
let browser: Browser;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-live-"));
  browser = await launchChromium();
});
afterAll(async () => {
  await browser?.close();
  await rm(folder, { recursive: true });
});

/** A page, and what went wrong in it or was asked of others. */
async function openPage(width: number): Promise<{ page: Page; faults: string[]; asked: string[] }> {
  const page = await browser.newPage();
  await page.setViewport({ width, height: 800 });
  const faults: string[] = [];
  const asked: string[] = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => faults.push(message.text()));
  page.on("request", (request) => asked.push(request.url().slice(0, 60)));
  return { page, faults, asked };
}

const NAMES = ["赤血球", "خلية دم", "клетка", "नमूना", "a</script><b>"];

/** A report with curves, five classes and their pictures. */
async function makeReport(): Promise<string> {
  const truth = cocoDataset(
    {
      images: [{ id: 1, file_name: "a.png", width: 100, height: 80 }],
      categories: NAMES.map((name, id) => ({ id, name })),
      annotations: NAMES.map((_, id) => ({ id, image_id: 1, category_id: id, bbox: [18 * id, 10, 15, 40] })),
    },
    "truth",
  );
  const found = NAMES.map(
    (_, i) => ({ imageId: 1, categoryId: i, bbox: [18 * i, 12, 15, 40], score: 0.9 - i / 10 }) as const,
  );
  const steps = new StepCurves();
  for (let step = 1; step < 50; step++) steps.add(step, { loss: 9 / step, loss_vfl: 1 / step, learningRate: 1e-4 });
  const png = await encodeImage({ width: 100, height: 80, data: new Uint8Array(24_000).fill(90) }, "a.png");
  const source = `data:image/png;base64,${Buffer.from(png).toString("base64")}`;
  const objects = NAMES.map((label, classId) => {
    const box = { xmin: 18 * classId, ymin: 10, xmax: 18 * classId + 15, ymax: 50 };
    return { label, classId, score: 0.5, box };
  });
  return renderReport({
    ...{ title: "报告 تقرير", steps, environment: {}, config: "a: 1" },
    evaluation: { result: evaluateDetections(truth, found), explanation: explainDetections(truth, found) },
    images: [{ name: "a.png", source, width: 100, height: 80, objects, truth: objects }],
  });
}

test.each([400, 1400])("a report opens from the disk, %i pixels wide", async (width) => {
  const path = join(folder, "report.html");
  await writeFile(path, await makeReport());
  const { page, faults, asked } = await openPage(width);
  await page.goto(pathToFileURL(path).href);
  const seen = await page.evaluate(() => {
    const rectangles = (selector: string) =>
      Array.from(document.querySelectorAll(selector), (element) => element.getBoundingClientRect());
    const overlap = (a: DOMRect, b: DOMRect) =>
      a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
    const labels = rectangles(".legend, figcaption");
    const pictures = rectangles("figure svg");
    return {
      text: Array.from(document.querySelectorAll("section"), ({ textContent }) => textContent).join(),
      charts: document.querySelectorAll("[data-chart]").length,
      drawn: document.querySelectorAll("[data-chart] canvas").length,
      // What the script drew is more than its background.
      inked: Array.from(document.querySelectorAll("canvas")).every((canvas) =>
        canvas
          .getContext("2d")!
          .getImageData(0, 0, canvas.width, canvas.height)
          .data.some((value) => value > 0),
      ),
      pictures: pictures.length,
      covered: labels.filter((label, i) => [...pictures, ...labels.slice(i + 1)].some((other) => overlap(label, other)))
        .length,
      tooWide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      isFolded: !document.querySelector("details")!.open,
    };
  });
  const { text, charts, ...rest } = seen;
  for (const name of NAMES) expect(text).toContain(name);
  expect(charts).toBeGreaterThan(4);
  expect(rest).toEqual({ drawn: charts, inked: true, pictures: 2, covered: 0, tooWide: 0, isFolded: true });
  expect(faults).toEqual([]);
  expect(asked.filter((url) => !url.startsWith("data:"))).toHaveLength(1);
  // A pointer over a curve tells its values.
  const canvas = (await page.$('[data-chart="loss"] .u-over'))!;
  await canvas.scrollIntoView();
  const { x, y } = (await canvas.boundingBox())!;
  await page.mouse.move(x + 40, y + 40);
  const legend = await page.$eval('[data-chart="loss"] .u-legend', (element) => element.textContent);
  expect(legend).toMatch(/step:?\s*\d/);
  await page.close();
});

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const live = await serveReport({ port: 0, title: "" });
  await live.end("stopped");
  return Number(new URL(live.address).port);
}

test("a run's page follows it without being loaded again, and says when it has finished", async () => {
  // Some seconds of steps before the first evaluation, in which the page is seen.
  await makeDigits({ folder: join(folder, "digits"), train: 96, val: 2, size: 96 });
  const { page, faults } = await openPage(1000);
  const port = await freePort();
  const data = join(folder, "digits", "data.yaml");
  const run = runCommand(...tinyTrain({ data, out: folder, name: "live" }), "--serve", String(port));
  const isThere = () => page.goto(`http://localhost:${port}/`).then(Boolean, () => false);
  await expect.poll(isThere, { timeout: 60_000 }).toBe(true);
  await page.evaluate(() => Object.assign(globalThis, { isFirst: true }));
  await page.waitForFunction(() => document.getElementById("status")!.textContent!.includes("goes on"));
  const curve = () => page.$$eval('[data-chart="loss"] canvas', (list) => list.length);
  await expect.poll(curve, { timeout: 60_000 }).toBe(1);
  const before = await page.$eval("#training", (element) => element.outerHTML.includes('data-chart="ap"'));
  const { code, err } = await run;
  await page.waitForFunction(() => document.getElementById("status")!.textContent === "The run has finished.");
  expect([code, err.includes(`live report: http://127.0.0.1:${port}/`)]).toEqual([0, true]);
  // Seen before the first evaluation, and after the last, by one and the same page.
  expect(before).toBe(false);
  expect(await page.$$eval('[data-chart="ap"] canvas', (list) => list.length)).toBe(1);
  expect(await page.$eval("#evaluation", (element) => element.textContent)).toContain("decoder layer");
  expect(await page.evaluate(() => "isFirst" in globalThis)).toBe(true);
  expect(faults).toEqual([]);
  await page.close();
});
