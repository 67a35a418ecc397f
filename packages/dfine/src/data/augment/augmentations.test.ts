import { readFileSync } from "node:fs";
import { Random } from "@dfine/tensor";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createImage, type RgbImage } from "../image.ts";
import { AUGMENTATIONS, type AugmentationConfig, augmentationsSchema, augmenter } from "./augmentations.ts";
import { drawCrop } from "./iouCrop.ts";
import { type Distortion, distort, drawDistortion } from "./photometricDistort.ts";
import type { Augment, Draws, Sample } from "./sample.ts";
import { drawCanvas } from "./zoomOut.ts";

/** One transform of torchvision: what it was given, what it drew, and what came out. */
interface GeometryCase {
  readonly op: "zoomOut" | "iouCrop" | "flip" | "sanitize";
  readonly width: number;
  readonly height: number;
  readonly boxes: readonly number[][];
  readonly draws: readonly (readonly [kind: string, value: number])[];
  readonly size: readonly [width: number, height: number];
  readonly outBoxes: readonly number[][];
  readonly outLabels: readonly number[];
  readonly digest: readonly [number, number];
}

interface ColourCase {
  readonly op: "photometricDistort";
  readonly width: number;
  readonly height: number;
  readonly params: {
    readonly [factor in `${"brightness" | "contrast" | "saturation" | "hue"}_factor`]: number | null;
  } & { readonly contrast_before: boolean; readonly channel_permutation: readonly number[] | null };
  readonly digest: readonly [number, number];
}

const { cases } = JSON.parse(readFileSync(new URL("../../../test/torchvision.json", import.meta.url), "utf8")) as {
  cases: readonly (GeometryCase | ColourCase)[];
};
const geometry = cases.filter((each): each is GeometryCase => each.op !== "photometricDistort");
const colours = cases.filter((each): each is ColourCase => each.op === "photometricDistort");

/** The picture that the cases were made of. */
function picture(width: number, height: number): RgbImage {
  const image = createImage(width, height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      image.data.set([(7 * x + 3 * y) % 251, (5 * x + 11 * y) % 241, (2 * x + 13 * y) % 239], 3 * (y * width + x));
  return image;
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
/** The sum of the bytes, and their sum weighted by place. */
const digest = ({ data }: RgbImage) => [sum([...data]), sum([...data].map((value, i) => value * ((i % 9973) + 1)))];

const planned = (name: AugmentationConfig["name"]): Augment =>
  AUGMENTATIONS.plan(augmentationsSchema.parse([{ name }])[0]!).apply([640, 640]);

/** Draws that were drawn before, in the same order. */
function recorded(draws: GeometryCase["draws"]): Draws & { readonly left: () => number } {
  const rest = [...draws];
  const next = (kind: string): number => {
    const [drawn, value] = rest.shift() ?? ["nothing", Number.NaN];
    expect(drawn).toBe(kind);
    return value;
  };
  return {
    uniform: () => next("uniform"),
    integer: () => next("integer"),
    permutation: () => expect.unreachable("no geometry permutes"),
    left: () => rest.length,
  };
}

const sampleOf = ({ width, height, boxes }: GeometryCase): Sample => ({
  image: picture(width, height),
  labels: Int32Array.from(boxes.keys()),
  boxes: Float32Array.from(boxes.flat()),
});

test.each(geometry.map((each, i) => [i, each.op, each] as const))(
  "case %i: %s with the draws of torchvision gives its image, boxes and labels",
  (_, op, given) => {
    const draws = recorded(given.draws);
    const { image, labels, boxes } = planned(op)(sampleOf(given), draws, []);
    expect(draws.left()).toBe(0);
    expect([image.width, image.height]).toEqual(given.size);
    expect(digest(image)).toEqual(given.digest);
    expect([...labels]).toEqual(given.outLabels);
    expect([...boxes]).toEqual(given.outBoxes.flat().map(Math.fround));
  },
);

test.each(colours.map((each, i) => [i, each] as const))(
  "colour case %i equals torchvision's distortion",
  (_, given) => {
    const { params, width, height } = given;
    const distortion: Distortion = {
      brightness: params.brightness_factor ?? undefined,
      contrast: params.contrast_factor ?? undefined,
      saturation: params.saturation_factor ?? undefined,
      hue: params.hue_factor ?? undefined,
      contrastFirst: params.contrast_before,
      channels: params.channel_permutation ? Int32Array.from(params.channel_permutation) : undefined,
    };
    expect(digest(distort(picture(width, height), distortion))).toEqual(given.digest);
  },
);

describe("what is drawn", () => {
  const COUNT = 20_000;
  const random = new Random(5);
  /** Whether a count of `COUNT` trials is within five standard deviations of a probability. */
  const isShare = (count: number, probability: number) =>
    Math.abs(count - COUNT * probability) <= 5 * Math.sqrt(COUNT * probability * (1 - probability));
  /** Whether values are spread evenly over a range: mean and variance within five standard errors. */
  function expectEven(values: readonly number[], [low, high]: readonly [number, number]): void {
    const width = high - low;
    expect(Math.min(...values)).toBeGreaterThanOrEqual(low);
    expect(Math.max(...values)).toBeLessThanOrEqual(high);
    const mean = sum(values) / values.length;
    expect(Math.abs(mean - (low + high) / 2)).toBeLessThan(5 * Math.sqrt(width ** 2 / 12 / values.length));
    const variance = sum(values.map((value) => (value - mean) ** 2)) / values.length;
    expect(Math.abs(variance / (width ** 2 / 12) - 1)).toBeLessThan(5 * Math.sqrt(0.8 / values.length));
  }

  test("20 000 distortions: each change with its probability, factors even over their ranges", () => {
    const [config] = augmentationsSchema.parse([{ name: "photometricDistort" }]);
    if (config?.name !== "photometricDistort") return expect.unreachable("another row");
    const drawn = Array.from({ length: COUNT }, () => drawDistortion(config, random));
    for (const key of ["brightness", "contrast", "saturation", "hue"] as const) {
      const factors = drawn.flatMap((each) => each[key] ?? []);
      expect(isShare(factors.length, 0.5), key).toBe(true);
      expectEven(factors, config[key]);
    }
    expect(isShare(drawn.filter(({ contrastFirst }) => contrastFirst).length, 0.5)).toBe(true);
    const orders = new Map<string, number>();
    for (const { channels } of drawn)
      if (channels) orders.set(String(channels), (orders.get(String(channels)) ?? 0) + 1);
    expect(orders.size).toBe(6);
    for (const same of orders.values()) expect(isShare(same, 1 / 12)).toBe(true);
  });

  test("20 000 canvases: sides and places even over what there is", () => {
    const size = { width: 1000, height: 1000 };
    const drawn = Array.from({ length: COUNT }, () => drawCanvas(size, [1, 4], random));
    expectEven(
      drawn.map(({ width }) => width / 1000),
      [1, 4],
    );
    const shares = drawn.filter(({ width }) => width > 1100).map(({ left, width }) => (left + 0.5) / (width - 999));
    expectEven(shares, [0, 1]);
  });

  test.each([
    ["flip", 0.5],
    ["zoomOut", 0.5],
  ] as const)("20 000 times %s: it happens with its probability", (name, probability) => {
    const sample = { image: createImage(1, 1), labels: Int32Array.of(0), boxes: Float32Array.of(0, 0, 0.25, 1) };
    const apply = planned(name);
    let changed = 0;
    for (let i = 0; i < COUNT; i++) if (apply(sample, random, []) !== sample) changed++;
    expect(isShare(changed, probability)).toBe(true);
  });

  test("20 000 crops: sides even over their range, every least IoU as often as the others", () => {
    // One box over all of the image: whatever the crop, its centre is inside, and the IoU is the crop's share of the image.
    const image = createImage(1000, 1000);
    const sample = { image, labels: Int32Array.of(0), boxes: Float32Array.of(0, 0, 1000, 1000) };
    const options = { scale: [0.6, 0.9], aspectRatio: [0.5, 2], minIou: [0, 0.1, 0.2, 1], trials: 1 } as const;
    const drawn = Array.from({ length: COUNT }, () => drawCrop(sample, { ...options, probability: 1 }, random));
    const crops = drawn.filter((crop) => crop !== undefined);
    expect(isShare(crops.length, 0.75)).toBe(true);
    expectEven(
      crops.map(({ width }) => (width + 0.5) / 1000),
      [0.6, 0.901],
    );
    expectEven(
      crops.map(({ top, height }) => (top + 0.5) / (1001 - height)),
      [0, 1],
    );
  });
});

test("after the stop epoch no strong augmentation is called, and the others draw what they drew before", () =>
  fc.assert(
    fc.asyncProperty(fc.integer(), async (seed) => {
      const none = () => expect.unreachable("nothing asks for other samples");
      const sample = {
        image: picture(24, 18),
        labels: Int32Array.of(0, 1),
        boxes: Float32Array.of(1, 2, 20, 16, 4, 4, 9, 9),
      };
      const whole = augmentationsSchema.parse("official");
      const kept = whole.map((config) => (AUGMENTATIONS.plan(config).strong ? { name: "sanitize" } : config));
      const after = await augmenter(whole, { strong: false, size: [640, 640] })(sample, new Random(seed), none);
      const all = augmenter(augmentationsSchema.parse(kept), { strong: true, size: [640, 640] });
      expect(after).toEqual(await all(sample, new Random(seed), none));
    }),
  ));

test("others are asked for when they are needed, by draws that follow from the seed", async () => {
  const given = { image: picture(24, 18), labels: Int32Array.of(0), boxes: Float32Array.of(1, 2, 20, 16) };
  const half = augmentationsSchema.parse([
    { name: "mosaic", probability: 0.5, side: 32 },
    { name: "mixup", probability: 0.5 },
  ]);
  const counts = new Map<number, number>();
  for (let seed = 0; seed < 400; seed++) {
    const asked = async () => {
      const draws: number[] = [];
      const another = async (draw: number) => {
        draws.push(draw);
        return given;
      };
      await augmenter(half, { strong: true, size: [640, 640] })(given, new Random(seed), another);
      return draws;
    };
    const draws = await asked();
    expect(await asked()).toEqual(draws);
    expect(draws.every((draw) => draw >= 0 && draw < 1)).toBe(true);
    counts.set(draws.length, (counts.get(draws.length) ?? 0) + 1);
  }
  // Three, one, both or none, a quarter each: within five standard deviations of 100.
  for (const count of [0, 1, 3, 4]) expect(Math.abs(counts.get(count)! - 100)).toBeLessThan(5 * Math.sqrt(75));
});

test.each([
  ["a range the wrong way round", [{ name: "zoomOut", sideRange: [4, 1] }], /from low to high/],
  ["crops whose search might not end", [{ name: "iouCrop", minIou: [0.5] }], /must have a 1 among them/],
  ["an unknown name", [{ name: "zoomIn" }], /photometricDistort/],
  ["an unknown key", [{ name: "flip", chance: 0.5 }], /chance/],
])("%s is refused", (_, list, message) => {
  expect(() => augmentationsSchema.parse(list)).toThrow(message);
});
