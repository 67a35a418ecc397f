import { Random, readTensors, referenceBackend, setBackend } from "@dfine/tensor";
import { beforeAll, describe, expect, test } from "vitest";
import { denoising, images, lively } from "../../test/livelyModel.ts";
import { tinyModel } from "../../test/tinyModel.ts";
import { ConfigError, DFINE_PRESET_NAMES } from "../config/config.ts";
import { presetConfig } from "../config/presets.ts";
import { DFineModel } from "./dfineModel.ts";

beforeAll(() => setBackend(referenceBackend({ floatBits: 64, poison: true })));

describe("presets", () => {
  /** docs/specification.md §2; trainable ones lack `up`, `regScale` and the frozen stems. */
  const COUNTS = {
    n: { train: 3_782_693, trainable: 3_782_691, deploy: 3_753_799, entries: [674, 506] },
    s: { train: 10_321_877, trainable: 10_321_875, deploy: 10_237_491, entries: [794, 550] },
    m: { train: 19_590_064, trainable: 19_590_062, deploy: 19_248_189, entries: [1053, 723] },
    l: { train: 31_244_152, trainable: 31_219_222, deploy: 30_724_195, entries: [1173, 751] },
    x: { train: 62_621_560, trainable: 62_596_118, deploy: 61_601_635, entries: [1441, 1019] },
  };

  test.for(DFINE_PRESET_NAMES)("%s has the published number of parameters", (preset) => {
    const expected = COUNTS[preset];
    using model = new DFineModel(presetConfig(preset, "coco").model);
    expect(model.parameterCount()).toBe(expected.train);
    const trainable = [...model.namedParameters().values()].filter(({ requiresGrad }) => requiresGrad);
    expect(trainable.reduce((sum, { size }) => sum + size, 0)).toBe(expected.trainable);
    expect(model.stateDict().size).toBe(expected.entries[0]);
    model.fuse();
    expect(model.parameterCount()).toBe(expected.deploy);
    expect(model.stateDict().size).toBe(expected.entries[1]);
  });
});

describe("shapes", () => {
  test.for([
    [1, 96, 96],
    [2, 64, 128],
    [3, 160, 64],
  ] as const)("%s images of %s x %s", ([batch, height, width]) => {
    using model = lively(tinyModel());
    const input = images(batch, height, width);
    const { last, aux, pre, enc, dn } = model.trainingOutputs(input);
    const bins = 4 * 9;
    for (const set of [last, ...aux]) {
      expect(set.logits.shape).toEqual([batch, 12, 3]);
      expect(set.boxes.shape).toEqual([batch, 12, 4]);
      expect(set.corners?.shape).toEqual([batch, 12, bins]);
      expect(set.refPoints?.shape).toEqual([batch, 12, 4]);
    }
    expect(aux.length).toBe(2);
    expect([pre, ...enc].map((set) => set?.logits.shape)).toEqual([
      [batch, 12, 3],
      [batch, 12, 3],
    ]);
    expect(dn).toBeUndefined();
    const { logits, boxes } = model.eval().predictions(input);
    expect([logits.shape, boxes.shape]).toEqual([
      [batch, 12, 3],
      [batch, 12, 4],
    ]);
  });

  test("denoising queries come apart from the ordinary ones", () => {
    const config = tinyModel();
    using model = lively(config);
    const queries = denoising(config, 2);
    const { last, dn } = model.trainingOutputs(images(2, 96), { denoising: queries });
    expect(last.boxes.shape).toEqual([2, 12, 4]);
    expect(queries.numQueries).toBe(12);
    expect(dn?.layers.length).toBe(3);
    for (const set of [...dn!.layers, dn!.pre!]) {
      expect(set.logits.shape).toEqual([2, queries.numQueries, 3]);
      expect(set.boxes.shape).toEqual([2, queries.numQueries, 4]);
    }
    expect(dn!.layers.every(({ teacher }) => teacher?.logits === dn!.layers.at(-1)!.logits)).toBe(true);
  });

  test("a batch without targets has no denoising part", () => {
    const config = tinyModel();
    using model = lively(config);
    const outputs = model.trainingOutputs(images(2, 96), { denoising: denoising(config, 0) });
    expect(outputs.dn).toBeUndefined();
    expect(outputs.last.boxes.shape).toEqual([2, 12, 4]);
  });

  test("sizes that cannot work are refused with what can", () => {
    using model = lively(tinyModel((config) => (config.decoder.numQueries = 21)));
    expect(() => model.call(images(1, 64))).toThrow(/64x64 gives 20 tokens for 21 queries; use at least 96x96/);
    expect(() => model.call(images(1, 100))).toThrow(ConfigError);
  });
});

describe("modes", () => {
  test("ordinary queries don't see denoising ones", async () => {
    const config = tinyModel();
    using model = lively(config);
    const input = images(2, 96);
    const alone = model.trainingOutputs(input);
    const together = model.trainingOutputs(input, { denoising: denoising(config, 2) });
    const [a, b] = await readTensors([alone.last.logits, together.last.logits]);
    a!.forEach((value, i) => {
      expect(b![i]!).toBeCloseTo(value, 9);
    });
  });

  test("images of a batch don't see each other outside training", async () => {
    using model = lively(tinyModel()).eval();
    const input = images(2, 96);
    const both = model.predictions(input);
    const second = model.predictions(input.slice([{ start: 1 }]));
    const [a, b] = await readTensors([both.boxes.slice([{ start: 1 }]), second.boxes]);
    a!.forEach((value, i) => {
      expect(b![i]!).toBeCloseTo(value, 9);
    });
  });

  test("the evaluation layer predicts as it does in training", async () => {
    for (const evalLayer of [-1, 1]) {
      using model = lively(tinyModel((config) => (config.decoder.evalLayer = evalLayer)));
      const input = images(1, 96);
      model.eval();
      const { logits, boxes } = model.predictions(input);
      // Norms must not use batch statistics, which differ.
      const [, stack] = model.decoder.children().find(([name]) => name === "decoder")!;
      for (const module of [model.decoder, stack]) module.training = true;
      const outputs = model.trainingOutputs(input);
      const set = evalLayer === 1 ? outputs.aux[1]! : outputs.last;
      const read = await readTensors([logits, set.logits, boxes, set.boxes]);
      expect(read[1]).toEqual(read[0]);
      expect(read[3]).toEqual(read[2]);
    }
  });

  test("every layer predicts as a model that ends there", async () => {
    using model = lively(tinyModel()).eval();
    const input = images(2, 96);
    const { earlier, ...last } = model.predictions(input, { everyLayer: true });
    const layers = [...earlier!, last];
    expect(layers).toHaveLength(3);
    for (const [i, { logits, boxes }] of layers.entries()) {
      using ending = new DFineModel(tinyModel((config) => (config.decoder.evalLayer = i)));
      ending.loadStateDict(model.stateDict());
      using deployed = ending.eval().deploy();
      const expected = deployed.predictions(input);
      const read = await readTensors([logits, expected.logits, boxes, expected.boxes]);
      for (const [a, b] of [read.slice(0, 2), read.slice(2)])
        a!.forEach((value, k) => {
          expect(b![k]!).toBeCloseTo(value, 9);
        });
    }
    using deployed = model.deploy();
    expect(() => deployed.predictions(input, { everyLayer: true })).toThrow(/last layer alone/);
  });

  test("the deploy form predicts the same and has no way back", async () => {
    for (const evalLayer of [-1, 0]) {
      using model = lively(tinyModel((config) => (config.decoder.evalLayer = evalLayer)));
      const input = images(2, 96, 64);
      // Moves the running statistics away from 0 and 1.
      model.trainingOutputs(input);
      model.eval();
      using deployed = model.deploy();
      const [a, b] = [model.predictions(input), deployed.predictions(input)];
      const [logits, boxes, fusedLogits, fusedBoxes] = await readTensors([a.logits, a.boxes, b.logits, b.boxes]);
      logits!.forEach((value, i) => {
        expect(fusedLogits![i]!).toBeCloseTo(value, 9);
      });
      boxes!.forEach((value, i) => {
        expect(fusedBoxes![i]!).toBeCloseTo(value, 9);
      });
      expect(() => deployed.train()).toThrow(ConfigError);
      expect([...deployed.namedParameters().values()].some(({ requiresGrad }) => requiresGrad)).toBe(false);
    }
  });

  test("outputs of the other mode are refused", () => {
    using model = lively(tinyModel());
    expect(() => model.predictions(images(1, 96))).toThrow(/call eval\(\)/);
    expect(() => model.eval().trainingOutputs(images(1, 96))).toThrow(/call train\(\)/);
  });

  test("decoder layers start alike, heads don't", async () => {
    using model = new DFineModel(tinyModel()).initialize(new Random(1));
    const of = (name: string) => model.stateDict().get(name)!.data();
    const layer = (i: number) => of(`decoder.decoder.layers.${i}.linear1.weight`);
    expect(await layer(2)).toEqual(await layer(0));
    expect(await of("decoder.dec_score_head.1.weight")).not.toEqual(await of("decoder.dec_score_head.0.weight"));
    // All edges rest at first, so each layer repeats the anchor's box.
    const { aux, last, pre } = model.trainingOutputs(images(1, 96));
    const [first, second, plain] = await readTensors([aux[0]!.boxes, last.boxes, pre!.boxes]);
    plain!.forEach((value, i) => {
      expect(first![i]!).toBeCloseTo(value, 9);
      expect(second![i]!).toBeCloseTo(value, 9);
    });
  });
});
