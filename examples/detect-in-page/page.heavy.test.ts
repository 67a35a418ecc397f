import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DetectedObject } from "dfine";
import { DFine, encodeImage } from "dfine/node";
import type { Browser, ElementHandle, Page } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { livelyWeights } from "../../packages/dfine/test/livelyWeights.ts";
import { launchChromium } from "../../scripts/chromium.ts";
import { onPage } from "../onPage.ts";
import type { PageDevice } from "./messages.ts";

const image = { width: 200, height: 150, data: Uint8Array.from({ length: 90_000 }, (_, i) => (i * i * 7 + i) % 253) };
let folder = "";
let browser: Browser;
let expected: readonly DetectedObject[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-page-"));
  const weights = await livelyWeights({ classes: ["cat", "dog"], size: [256, 256], device: "cpu" });
  await writeFile(join(folder, "pets.safetensors"), weights);
  await writeFile(join(folder, "image.png"), await encodeImage(image, "image.png"));
  await writeFile(join(folder, "no-image.png"), "no image");
  using detector = await DFine.fromPretrained(weights, { device: "cpu" });
  const [result] = await detector.detect(image, { threshold: 0.5 });
  expected = result!.objects;
  browser = await launchChromium();
});
afterAll(async () => {
  await browser?.close();
  await rm(folder, { recursive: true });
});

const example = (isolated: boolean) => ({ browser, folder: import.meta.dirname, isolated });

/** Chooses a file as a user does, and waits until the page says something that matches. */
async function choose(page: Page, input: "weights" | "image", file: string, answer: RegExp): Promise<string> {
  const element = (await page.$(`#${input}`)) as ElementHandle<HTMLInputElement>;
  await element.uploadFile(join(folder, file));
  await page.waitForFunction(`${answer}.test(document.getElementById("status").value)`);
  return await page.$eval("#status", (status) => (status as HTMLOutputElement).value);
}

/** Pixels by which edges may differ from those that Node finds on its CPU: another backend adds up in another order. */
const EDGE_TOLERANCES: Record<PageDevice, number> = { cpu: 1e-3, webgpu: 1e-2 };

test.each([
  ["cpu", true, "cpu, all its cores"],
  ["cpu", false, "cpu, one thread, as this page is not cross-origin isolated"],
  ["webgpu", true, "webgpu"],
] as const)(
  "on %s, cross-origin isolated: %s; the page finds what Node finds",
  async (device, isolated, description) => {
    expect(expected.length).toBeGreaterThan(10);
    await onPage(example(isolated), async (page) => {
      await page.select("#device", device);
      const ready = await choose(page, "weights", "pets.safetensors", /Ready/);
      expect(ready).toBe(`Ready to find 2 kinds of objects on ${description}.`);
      expect(await choose(page, "image", "image.png", /objects in/)).toContain(`${expected.length} objects in`);
      const saved = await page.$eval("#save a", async (link) => (await fetch((link as HTMLAnchorElement).href)).text());
      const objects: DetectedObject[] = JSON.parse(saved);
      expect(objects.map(({ label }) => label)).toEqual(expected.map(({ label }) => label));
      objects.forEach(({ score, box }, i) => {
        expect(Math.abs(score - expected[i]!.score)).toBeLessThan(1e-5);
        for (const edge of ["xmin", "ymin", "xmax", "ymax"] as const)
          expect(Math.abs(box[edge] - expected[i]!.box[edge])).toBeLessThan(EDGE_TOLERANCES[device]);
      });
      const size = await page.$eval("#view", (view) => [
        (view as HTMLCanvasElement).width,
        (view as HTMLCanvasElement).height,
      ]);
      expect(size).toEqual([image.width, image.height]);
    });
  },
);

test("what goes wrong is said, and the page goes on", async () => {
  await onPage(example(true), async (page) => {
    expect(await choose(page, "weights", "image.png", /image\.png: /)).toMatch(/^image\.png: \w/);
    await choose(page, "weights", "pets.safetensors", /Ready/);
    expect(await choose(page, "image", "no-image.png", /cannot|is not/)).toMatch(/^no-image\.png: is not an image/);
    await choose(page, "image", "image.png", /objects in/);
  });
});
