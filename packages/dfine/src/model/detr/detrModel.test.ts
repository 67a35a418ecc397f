import {
  backward,
  keep,
  metaBackend,
  referenceBackend,
  setBackend,
  type Tensor,
  tensor,
  withBackend,
} from "@dfine/tensor";
import { beforeAll, describe, expect, test } from "vitest";
import { expectClose } from "../../../test/differences.ts";
import { denoising, enlivened, everything, images, total, without } from "../../../test/livelyModel.ts";
import { tinyDetr } from "../../../test/tinyDetr.ts";
import { DETR_PRESET_NAMES, type DetrPresetName } from "../../config/config.ts";
import { presetConfig } from "../../config/presets.ts";
import { buildDetector } from "../architectures.ts";
import type { ForwardOptions, Predictions } from "../outputs.ts";

beforeAll(() => setBackend(referenceBackend({ floatBits: 64, poison: true })));

const FORMS = DETR_PRESET_NAMES.flatMap((family) => [false, true].map((fdr) => [family, fdr] as const));
const tiny = (family: DetrPresetName, fdr: boolean) => tinyDetr(family, { fdr, goLsd: fdr }).model;

/** docs/families.md: parameters of the public code, plain and with a box head of distributions; and without frozen ones. */
const COUNTS: Record<DetrPresetName, readonly [plain: number, distributions: number]> = {
  "deformable-detr-plain": [40_069_665, 40_235_173],
  "deformable-detr": [41_181_529, 41_511_517],
  "dab-detr": [47_405_994, 47_735_982],
  "dn-detr": [47_429_154, 47_759_142],
  dino: [46_893_182, 47_058_690],
};
/** Stem and first stage of ResNet-50. */
const FROZEN = 222_400;

test.each(FORMS)("%s has the published number of parameters; distributions: %s", (family, fdr) => {
  const { model } = presetConfig(family, "coco");
  if (model.architecture !== "detr") throw new Error("no DETR");
  if (fdr) model.decoder.boxHead = "distribution";
  withBackend(metaBackend(), () => {
    using detector = buildDetector(model);
    const count = COUNTS[family][fdr ? 1 : 0];
    expect(detector.parameterCount()).toBe(count);
    const trainable = [...detector.namedParameters().values()].filter(({ requiresGrad }) => requiresGrad);
    expect(trainable.reduce((sum, { size }) => sum + size, 0)).toBe(count - FROZEN);
  });
});

const numbers = async (tensors: readonly Tensor[]): Promise<number[]> =>
  (await Promise.all(tensors.map((t) => t.data()))).flatMap((data) => [...data]);
const predicted = ({ logits, boxes }: Predictions): Promise<number[]> => numbers([logits, boxes]);

test.each(FORMS)("gradients reach every trainable parameter of %s; distributions: %s", (family, fdr) => {
  const config = tiny(family, fdr);
  using model = enlivened(buildDetector(config));
  const noisy = model.denoisingQueries([], NO_DRAWS) ? denoising(config, 2) : undefined;
  const sizes = [
    [64, 64],
    [50, 33],
  ] as const;
  backward(total(everything(model.trainingOutputs(images(2, 64), { denoising: noisy, validSizes: sizes }))));
  expect(without(model)).toEqual([]);
});

describe.each(DETR_PRESET_NAMES)("%s", (family) => {
  test("what is in the padding is not seen, and neither is another image", async () => {
    using model = enlivened(buildDetector(tiny(family, false))).eval();
    const run = (x: Tensor, options: ForwardOptions = {}) => predicted(model.predictions(x, options));
    const [pixels, other] = [await images(1, 64, 50).data(), await images(1, 60, 64).data()];
    const whole = (size: readonly [number, number], data: ArrayLike<number>, around: number): number[] =>
      Array.from({ length: 3 * 64 * 64 }, (_, i) => {
        const [plane, y, x] = [Math.floor(i / (64 * 64)), Math.floor(i / 64) % 64, i % 64];
        return y < size[0] && x < size[1] ? data[(plane * size[0] + y) * size[1] + x]! : around;
      });
    const small = [64, 50] as const;
    const [dark, bright] = [0, 7].map((around) => whole(small, pixels, around)) as [number[], number[]];
    const alone = await run(tensor(dark, [1, 3, 64, 64]), { validSizes: [small] });
    expect(await run(tensor(bright, [1, 3, 64, 64]), { validSizes: [small] })).toEqual(alone);
    const both = tensor([...bright, ...whole([60, 64], other, 3)], [2, 3, 64, 64]);
    const { logits } = model.predictions(both, { validSizes: [small, [60, 64]] });
    const found = await logits.data();
    expectClose([...found.subarray(0, logits.size / 2)], alone.slice(0, logits.size / 2), 1e-9);
    // Without sizes the padding would be taken for a part of the image.
    expect(await run(tensor(bright, [1, 3, 64, 64]))).not.toEqual(alone);
  });

  test("the deploy form predicts the same with fewer tensors", async () => {
    using model = enlivened(buildDetector(tiny(family, false))).eval();
    using deployed = model.deploy();
    const x = images(2, 64, 96);
    expect(await predicted(deployed.predictions(x))).toEqual(await predicted(model.predictions(x)));
    const shared = family === "dino" || family === "deformable-detr-plain";
    const dropped = [...model.stateDict().keys()].filter((name) => !deployed.stateDict().has(name));
    const expected = /^(label_enc\.|class_embed\.[01]\.)/;
    expect(dropped.every((name) => expected.test(name))).toBe(true);
    expect(dropped.some((name) => name.startsWith("class_embed"))).toBe(!shared);
  });
});

const never = () => 0;
const NO_DRAWS = { labelMask: never, label: never, sign: never, magnitude: never };

test("denoising queries see their own group and the ordinary queries, and nobody sees them", async () => {
  const config = tiny("dino", false);
  using model = enlivened(buildDetector(config));
  const queries = denoising(config, 2)!;
  const x = images(2, 64);
  const run = (change?: typeof queries) => model.trainingOutputs(x, { denoising: change });
  const [plain, noisy] = [run(), run(queries)];
  expectClose(await numbers([noisy.last.logits]), await numbers([plain.last.logits]), 1e-9);
  const changed = {
    ...queries,
    boxesUnact: Float64Array.from(queries.boxesUnact, (v, i) => {
      const query = Math.floor(i / 4) % queries.numQueries;
      return query < queries.groupSize ? v : v + 0.3;
    }),
  };
  const first = async (outputs: typeof noisy) => {
    const { logits } = outputs.dn!.layers.at(-1)!;
    return numbers([logits.slice([null, { start: 0, end: queries.groupSize }])]);
  };
  expectClose(await first(run(changed)), await first(noisy), 1e-9);
  expect(queries.groups).toBeGreaterThan(1);
});

test("queries are chosen by whoever says so", async () => {
  for (const family of ["deformable-detr", "dino"] as const) {
    using model = enlivened(buildDetector(tiny(family, false))).eval();
    const x = images(1, 64);
    const seen = new Map<string, Tensor>();
    const free = await predicted(model.predictions(x, { tap: (name, t) => seen.set(name, keep(t.alias())) }));
    const chosen = [...(await seen.get("topk_index")!.data())];
    const select = (tokens: readonly number[]) =>
      predicted(model.predictions(x, { selection: tensor(Int32Array.from(tokens), [1, tokens.length]) }));
    expect(await select(chosen)).toEqual(free);
    expect(await select([...chosen].reverse())).not.toEqual(free);
  }
});

test("images with fewer tokens than queries are refused", () => {
  using model = buildDetector(tiny("dino", false)).eval();
  expect(() => model.predictions(images(1, 8))).toThrow(
    /input size: 8x8 gives \d+ tokens for 12 queries; use at least/,
  );
});
