import {
  backward,
  kernelCount,
  liveStorages,
  noGrad,
  openScope,
  Random,
  readTensors,
  referenceBackend,
  scope,
  setBackend,
  type Tensor,
  tensor,
} from "@dfine/tensor";
import { beforeAll, describe, expect, test } from "vitest";
import { tinyModel } from "../../test/tinyModel.ts";
import { ConfigError, type ModelConfig, PRESET_NAMES } from "../config/config.ts";
import { presetConfig } from "../config/presets.ts";
import { denoisingQueries } from "./denoising.ts";
import { DFineModel, deploy } from "./dfineModel.ts";
import type { TrainingOutputs } from "./outputs.ts";

beforeAll(() => setBackend(referenceBackend({ floatBits: 64, poison: true })));

const random = new Random(7);

/** Parameters drawn anew, so that nothing that starts at zero hides a mistake. */
function lively(config: ModelConfig): DFineModel {
  const model = new DFineModel(config).initialize(random.fork("weights"));
  for (const [name, { shape, dtype }] of model.namedParameters()) {
    if (dtype !== "f32" || name === "decoder.up") continue;
    const stream = random.fork(name);
    const spread = shape.length > 1 ? 1 / Math.sqrt(shape.slice(1).reduce((a, b) => a * b)) : 0.3;
    const data = Float64Array.from({ length: shape.reduce((a, b) => a * b) }, () => spread * stream.normal());
    const offset = shape.length === 1 && /weight|scale/.test(name) ? 1 : 0;
    model.loadStateDict(new Map([[name, { shape, data: data.map((value) => value + offset) }]]), { strict: false });
  }
  return model;
}

const images = (batch: number, height: number, width = height): Tensor => {
  const stream = random.fork("images");
  return tensor(
    Float32Array.from({ length: batch * 3 * height * width }, () => stream.uniform()),
    [batch, 3, height, width],
  );
};

/** One image with `count` targets, one with a single target. */
function denoising({ classes, denoising: options }: ModelConfig, count: number) {
  const stream = random.fork(`boxes ${count}`);
  const targets = [count, Math.min(count, 1)].map((n) => ({
    labels: Int32Array.from({ length: n }, () => stream.integer(classes.length)),
    boxes: Float64Array.from({ length: 4 * n }, (_, i) => (i % 4 < 2 ? 0.3 + 0.4 * stream.uniform() : 0.2)),
  }));
  const draw = () => stream.uniform();
  const draws = { labelMask: draw, label: draw, sign: draw, magnitude: draw };
  return denoisingQueries(targets, { ...options, classes: classes.length, draws });
}

/** Everything that a prediction is made of, summed with unlike weights. */
const total = (tensors: readonly (Tensor | undefined)[]): Tensor =>
  tensors
    .flatMap((t) => (t ? [t] : []))
    .map((t, i) =>
      t
        .mul(t)
        .mul(0.1 * (i + 1))
        .sum(),
    )
    .reduce((a, b) => a.add(b));

const everything = ({ last, aux, pre, enc, dn }: TrainingOutputs): Tensor[] =>
  [last, ...aux, ...(pre ? [pre] : []), ...enc, ...(dn?.layers ?? []), ...(dn?.pre ? [dn.pre] : [])].flatMap((set) => [
    set.logits,
    set.boxes,
    ...(set.corners ? [set.corners] : []),
  ]);

const without = (model: DFineModel): string[] =>
  [...model.namedParameters()].filter(([, p]) => p.requiresGrad && !p.grad).map(([name]) => name);

describe("presets", () => {
  /** Specification §11.1; trainable ones lack `up`, `regScale` and the frozen stems. */
  const COUNTS = {
    n: { train: 3_782_693, trainable: 3_782_691, deploy: 3_753_799, entries: [674, 506] },
    s: { train: 10_321_877, trainable: 10_321_875, deploy: 10_237_491, entries: [794, 550] },
    m: { train: 19_590_064, trainable: 19_590_062, deploy: 19_248_189, entries: [1053, 723] },
    l: { train: 31_244_152, trainable: 31_219_222, deploy: 30_724_195, entries: [1173, 751] },
    x: { train: 62_621_560, trainable: 62_596_118, deploy: 61_601_635, entries: [1441, 1019] },
  };

  test.for(PRESET_NAMES)("%s has the published number of parameters", (preset) => {
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
    using _ = openScope("test");
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
    using _ = openScope("test");
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
    using _ = openScope("test");
    const outputs = model.trainingOutputs(images(2, 96), { denoising: denoising(config, 0) });
    expect(outputs.dn).toBeUndefined();
    expect(outputs.last.boxes.shape).toEqual([2, 12, 4]);
  });

  test("sizes that cannot work are refused with what can", () => {
    using model = lively(tinyModel((config) => (config.decoder.numQueries = 21)));
    using _ = openScope("test");
    expect(() => model.call(images(1, 64))).toThrow(/64x64 gives 20 tokens for 21 queries; use at least 96x96/);
    expect(() => model.call(images(1, 100))).toThrow(ConfigError);
  });
});

describe("modes", () => {
  test("ordinary queries don't see denoising ones", async () => {
    const config = tinyModel();
    using model = lively(config);
    using _ = openScope("test");
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
    using _ = openScope("test");
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
      using _ = openScope("test");
      const input = images(1, 96);
      model.eval();
      const { logits, boxes } = model.predictions(input);
      // Norms must not use batch statistics, which differ.
      model.decoder.training = true;
      model.decoder.decoder.training = true;
      const outputs = model.trainingOutputs(input);
      const set = evalLayer === 1 ? outputs.aux[1]! : outputs.last;
      const read = await readTensors([logits, set.logits, boxes, set.boxes]);
      expect(read[1]).toEqual(read[0]);
      expect(read[3]).toEqual(read[2]);
    }
  });

  test("the deploy form predicts the same and has no way back", async () => {
    for (const evalLayer of [-1, 0]) {
      using model = lively(tinyModel((config) => (config.decoder.evalLayer = evalLayer)));
      using _ = openScope("test");
      const input = images(2, 96, 64);
      // Moves the running statistics away from 0 and 1.
      model.trainingOutputs(input);
      model.eval();
      using deployed = deploy(model);
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
    using _ = openScope("test");
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
    using _ = openScope("test");
    const { aux, last, pre } = model.trainingOutputs(images(1, 96));
    const [first, second, plain] = await readTensors([aux[0]!.boxes, last.boxes, pre!.boxes]);
    plain!.forEach((value, i) => {
      expect(first![i]!).toBeCloseTo(value, 9);
      expect(second![i]!).toBeCloseTo(value, 9);
    });
  });
});

describe("gradients", () => {
  test.for<[string, (config: ModelConfig) => void]>([
    ["as D-FINE", () => {}],
    ["plain deltas", (config) => (config.decoder.boxHead = "delta")],
    ["residual fusion", (config) => (config.decoder.fusion = "residual")],
    ["CSP blocks that change the width", (config) => (config.encoder.block = "csp")],
    ["queries for token and class", (config) => (config.decoder.querySelect = "one2many")],
    ["one logit for all classes", (config) => (config.decoder.querySelect = "agnostic")],
    ["another decoder width", (config) => (config.decoder.hiddenDim = 24)],
    ["learned contents", (config) => (config.decoder.learnQueryContent = true)],
    [
      "two transformer layers on each level",
      (config) => Object.assign(config.encoder, { layers: 2, transformerLevels: [0, 1] }),
    ],
    ["frozen stem and norms", (config) => Object.assign(config.backbone, { freezeAt: 0, freezeNorm: true })],
    ["discrete sampling", (config) => (config.decoder.crossAttention = "discrete")],
  ])("reach every trainable parameter: %s", ([, change]) => {
    const config = tinyModel(change);
    using model = lively(config);
    using _ = openScope("test");
    backward(total(everything(model.trainingOutputs(images(2, 96), { denoising: denoising(config, 2) }))));
    expect(without(model)).toEqual([]);
  });

  /** Parameters, by module, that a loss on `chosen` trains. */
  function trained(chosen: (outputs: TrainingOutputs) => (Tensor | undefined)[]): Set<string> {
    const config = tinyModel();
    using model = lively(config);
    using _ = openScope("test");
    backward(total(chosen(model.trainingOutputs(images(2, 96), { denoising: denoising(config, 2) }))));
    const names = [...model.namedParameters()].filter(([, { grad }]) => grad).map(([name]) => name);
    return new Set(
      names.map((name) =>
        name
          .split(".")
          .slice(0, 3)
          .join(".")
          .replace(/^(backbone|encoder)\..*/, "$1"),
      ),
    );
  }

  test("a later layer's edges train the heads of the earlier ones, but no plain box head", () => {
    const found = trained(({ last }) => [last.boxes]);
    for (const name of [
      "decoder.dec_bbox_head.0",
      "decoder.dec_bbox_head.2",
      "decoder.decoder.layers",
      "encoder",
      "backbone",
    ])
      expect(found).toContain(name);
    for (const name of ["decoder.pre_bbox_head.layers", "decoder.enc_bbox_head.layers", "decoder.enc_output.proj"])
      expect(found).not.toContain(name);
  });

  test("classes train the quality estimator, and the edges through it", () => {
    const found = trained(({ last }) => [last.logits]);
    expect(found).toContain("decoder.decoder.lqe_layers");
    expect(found).toContain("decoder.dec_bbox_head.0");
    expect(found).toContain("decoder.dec_score_head.2");
    expect(found).not.toContain("decoder.dec_score_head.0");
  });

  test("the encoder's losses train encoder and backbone, and nothing of the decoder layers", () => {
    const found = trained(({ enc }) => [enc[0]!.logits, enc[0]!.boxes]);
    expect(found).toContain("decoder.enc_bbox_head.layers");
    expect(found).toContain("backbone");
    expect([...found].some((name) => name.startsWith("decoder.decoder") || name.includes("dec_"))).toBe(false);
  });
});

describe("memory", () => {
  test("nothing stays behind, in either mode", () => {
    const config = tinyModel();
    const before = liveStorages();
    const model = lively(config);
    const step = (count: number) =>
      scope("step", () => {
        backward(total(everything(model.trainingOutputs(images(2, 96), { denoising: denoising(config, count) }))));
        model.zeroGrad();
      });
    step(2);
    const settled = liveStorages();
    for (const count of [1, 3, 0, 2]) step(count);
    expect(liveStorages()).toBe(settled);
    scope("evaluation", () => {
      noGrad(() => model.eval().predictions(images(1, 96)));
    });
    expect(liveStorages()).toBe(settled);
    model.dispose();
    expect(liveStorages()).toBe(before);
  });

  test("other numbers of targets need no other kernels", () => {
    const config = tinyModel();
    using model = lively(config);
    const step = (count: number) =>
      scope("step", () => {
        backward(total(everything(model.trainingOutputs(images(2, 96), { denoising: denoising(config, count) }))));
        model.zeroGrad();
      });
    step(2);
    step(3);
    const settled = kernelCount();
    for (const count of [1, 4, 6]) step(count);
    expect(kernelCount()).toBe(settled);
  });
});
