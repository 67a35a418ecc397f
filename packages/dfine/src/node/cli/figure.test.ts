import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DOMParser, type Element } from "@xmldom/xmldom";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freshState, ownFile } from "../../../test/checkpoints.ts";
import { runCommand } from "../../../test/runCommand.ts";
import { tinyModel } from "../../../test/tinyModel.ts";
import { decodeImage } from "../data/decode.ts";
import { encodeImage } from "../draw.ts";

const BOXES = [
  [10, 8, 30, 20],
  [50, 12, 24, 30],
  [20, 44, 36, 16],
  [80, 50, 20, 24],
] as const;
const LAYERS = 3;
const BINS = 8;
const FOUND = 5;
/** AP and parameters in millions of N, S, M, L, X as the README of the official repository has them. */
const AP = [42.8, 48.5, 52.3, 54.0, 55.8];
const PARAMETERS = [4, 10, 19, 31, 62];
const LATENCIES = [10, 25, 45, 90, 240];

let folder = "";
const file = (...parts: string[]) => join(folder, ...parts);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-figure-"));
  const model = tinyModel((config) => {
    config.decoder.layers = LAYERS;
    config.decoder.regMax = BINS;
    config.numTopQueries = FOUND;
  });
  await writeFile(file("w.safetensors"), ownFile(await freshState(model), model));
  await mkdir(file("images"));
  const image = { width: 120, height: 80, data: Uint8Array.from({ length: 28_800 }, (_, i) => (i * 31) % 256) };
  await writeFile(file("images", "a.png"), await encodeImage(image, "a.png"));
  const annotations = BOXES.map((bbox, id) => {
    return { id, image_id: 1, category_id: id % 3, bbox, area: bbox[2] * bbox[3], iscrowd: 0 };
  });
  const categories = ["one", "two", "three"].map((name, id) => ({ id, name }));
  const images = [{ id: 1, file_name: "a.png", width: 120, height: 80 }];
  await writeFile(file("a.json"), JSON.stringify({ images, categories, annotations }));
});
afterAll(() => rm(folder, { recursive: true }));

async function draw(name: string, ...argv: string[]): Promise<string> {
  const { code, err } = await runCommand("figure", name, "--out", file("out"), ...argv);
  expect({ code, err }).toMatchObject({ code: 0 });
  return await readFile(file("out"), "utf8");
}
const model = () => ["--weights", file("w.safetensors"), "--device", "cpu", "--threads", "1", "--threshold", "0"];

const all = (of: Element, name: string): Element[] => [...of.getElementsByTagName(name)];
const textsOf = (of: Element): string[] => all(of, "text").map((text) => text.textContent!.trim());
const number = (of: Element, name: string): number => Number(of.getAttribute(name));

/** The root of a well-formed drawing, whose every length is a number. */
async function svg(name: string, ...argv: string[]): Promise<Element> {
  const wrong: string[] = [];
  const parser = new DOMParser({ onError: (level, message) => wrong.push(`${level}: ${message}`) });
  const root = parser.parseFromString(await draw(name, ...argv), "image/svg+xml").documentElement!;
  expect(wrong).toEqual([]);
  expect([root.tagName, root.namespaceURI]).toEqual(["svg", "http://www.w3.org/2000/svg"]);
  for (const element of all(root, "*")) {
    for (const length of ["x", "y", "cx", "cy", "r", "height"])
      if (element.hasAttribute(length)) expect(element.getAttribute(length)).toMatch(/^(-?\d+(\.\d+)?|100%)$/);
    expect(element.getAttribute("d") ?? "").toMatch(/^[-MLHv\d. ]*$/);
  }
  return root;
}

/** Embedded pictures are ones. */
async function expectPictures(root: Element, count: number): Promise<void> {
  const pictures = all(root, "image").map((image) => image.getAttribute("href")!);
  expect(pictures).toHaveLength(count);
  for (const picture of pictures)
    expect((await decodeImage(Buffer.from(picture.split("base64,")[1]!, "base64"))).width).toBeGreaterThan(0);
}

/** Places on an axis are the values, but for where it begins, its scale and the hundredths of a pixel in the file. */
function expectScaled(places: readonly number[], values: readonly number[], tolerance = 0.02): void {
  expect(places).toHaveLength(values.length);
  const at = (list: readonly number[], i: number) => (list[i]! - list[0]!) / (list.at(-1)! - list[0]!);
  for (const i of values.keys()) expect(Math.abs(at(places, i) - at(values, i))).toBeLessThan(tolerance);
}

test("1: all sizes stand where their numbers are, others where theirs are known", async () => {
  const root = await svg("1", "--latencies", LATENCIES.join(","));
  const panels = all(root, "g").filter(
    (group) => group.getAttribute("transform")!.startsWith("translate(") && all(group, "circle").length > 0,
  );
  expect(panels).toHaveLength(4);
  for (const [i, panel] of panels.entries()) {
    const own = all(panel, "circle").filter((circle) => circle.getAttribute("r") === "2.2");
    expectScaled(
      own.map((circle) => number(circle, "cy")),
      AP,
      0.002,
    );
    if (i === 1)
      expectScaled(
        own.map((circle) => number(circle, "cx")),
        PARAMETERS,
        0.02,
      );
    if (i === 3)
      expectScaled(
        own.map((circle) => number(circle, "cx")),
        LATENCIES,
        0.002,
      );
    expect(textsOf(panel)).toEqual(expect.arrayContaining(["N", "S", "M", "L", "X"]));
    expect(textsOf(panel).includes("RT-DETR-HGNetv2-L")).toBe(i < 3);
  }
});

test("2: a curve has a point for each n, where the paper's formula puts it", async () => {
  const [a, c, bins] = [0.5, 0.25, BINS];
  const [panel] = all(await svg("2", "--curves", `${a},${c},${bins};1,0.125,16`), "g") as [Element];
  const [curve, other] = all(panel, "path")
    .map((path) => path.getAttribute("d")!)
    .filter((d) => d.includes("L"))
    .map((d) =>
      d
        .slice(1)
        .split("L")
        .map((point) => point.split(" ").map(Number)),
    );
  const half = (n: number) => -c + c * (a / c + 1) ** ((2 * n - bins) / (bins - 2));
  const weight = (n: number) => (n === 0 ? -2 * a : n === bins ? 2 * a : n < bins / 2 ? -half(bins - n) : half(n));
  const steps = Array.from({ length: bins + 1 }, (_, n) => n);
  expectScaled(
    curve!.map(([x]) => x!),
    steps,
    1e-3,
  );
  expectScaled(
    curve!.map(([, y]) => y!),
    steps.map(weight),
    1e-3,
  );
  expect(other).toHaveLength(17);
  expect(textsOf(panel)).toEqual(expect.arrayContaining(["0.5, 0.25, 8", "1, 0.125, 16"]));
});

test("3: each layer matches every target once, the union as often as layers disagree", async () => {
  const root = await svg("3", ...model(), "--images", file("images"), "--annotations", file("a.json"));
  await expectPictures(root, 1);
  const texts = textsOf(root);
  expect(texts).toEqual(expect.arrayContaining(["layer 1", "layer 2", `layer ${LAYERS}`, "union"]));
  expect(all(root, "circle")).toHaveLength(BOXES.length);
  const cells = all(root, "rect").filter((rect) => rect.getAttribute("rx") === "4");
  const columns = [...new Set(cells.map((cell) => number(cell, "x")))].sort((one, other) => one - other);
  const numbers = columns.map((x) =>
    cells.flatMap((cell) => (number(cell, "x") === x ? [cell.nextSibling!.textContent!] : [])).sort(),
  );
  expect(numbers.slice(0, LAYERS)).toEqual(Array(LAYERS).fill(["1", "2", "3", "4"]));
  const union = numbers[LAYERS]!;
  expect([...new Set(union)]).toEqual(["1", "2", "3", "4"]);
  expect(union).toHaveLength(texts.filter((text) => text.startsWith("query ")).length);
});

test("4: each object has four edges with all bins of their distributions", async () => {
  const root = await svg("4", ...model(), "--photo", file("images", "a.png"));
  await expectPictures(root, 1);
  const texts = textsOf(root);
  for (const edge of ["left", "top", "right", "bottom"])
    expect(texts.filter((text) => text === edge)).toHaveLength(FOUND);
  const bars = (color: string) => all(root, "rect").filter((rect) => rect.getAttribute("fill") === color).length;
  const inLegend = 3;
  expect([bars("#5b6b84"), bars("#f08c00")]).toEqual(Array(2).fill(FOUND * 4 * (BINS + 1) + inLegend));
});

test("5: each hardship is a picture with what is found in it", async () => {
  const root = await svg("5", ...model(), "--photo", file("images", "a.png"));
  await expectPictures(root, 7);
  const counts = textsOf(root).map((caption) => /^(.+): (\d+) found$/.exec(caption)!.slice(1));
  expect(counts.map(([title]) => title)).toEqual([
    ...["as it is", "occlusion", "low light", "motion blur", "depth of field", "rotation", "crowd"],
  ]);
  const tiles = all(root, "svg");
  expect(tiles.map((tile) => all(tile, "rect").length)).toEqual(counts.map(([, count]) => 2 * Number(count)));
  expect(counts[0]![1]).toBe(`${FOUND}`);
});

test.each([
  ["table1", { "D-FINE-L": [54, 31, 91, 8.07, 90], "D-FINE-X": [55.8, 62, 202, 12.89, 240] }],
  [
    "table7",
    { "D-FINE-N": [42.8, 4, 7, 2.12, 10], "D-FINE-S": [48.5, 10, 25, 3.49, 25], "D-FINE-M": [52.3, 19, 57, 5.62, 45] },
  ],
])("%s: the README's numbers, and latencies as they are given", async (name, expected) => {
  const [head, rule, ...rows] = (await draw(name, "--latencies", LATENCIES.join(",")))
    .trim()
    .split("\n")
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  expect(rule!.every((cell) => /^-{3}:?$/.test(cell))).toBe(true);
  for (const row of rows) expect(row).toHaveLength(head!.length);
  const own = rows.filter(([model]) => model!.startsWith("D-FINE"));
  const found = own.map(([model, ...cells]) => [model, cells.slice(0, 5).map(Number)] as const);
  expect(found.map(([model]) => model)).toEqual(Object.keys(expected));
  // The README rounds millions and GFLOPs.
  for (const [model, numbers] of found)
    for (const [i, value] of numbers.entries())
      expect(Math.abs(value - expected[model as keyof typeof expected]![i]!), model).toBeLessThan(
        i === 1 || i === 2 ? 1.1 : 1e-9,
      );
});
