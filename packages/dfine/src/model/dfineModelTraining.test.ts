import {
  backward,
  liveStorages,
  noGrad,
  Random,
  referenceBackend,
  scope,
  setBackend,
  type Tensor,
  type TypedArray,
} from "@dfine/tensor";
import { kernelCount } from "@dfine/tensor/kernel";
import { beforeAll, describe, expect, test } from "vitest";
import { expectClose } from "../../test/differences.ts";
import { denoising, everything, images, lively, total, without } from "../../test/livelyModel.ts";
import { tinyModel } from "../../test/tinyModel.ts";
import type { DFineConfig } from "./dfineConfig.ts";
import type { TrainingOutputs } from "./outputs.ts";

beforeAll(() => setBackend(referenceBackend({ floatBits: 64, poison: true })));

describe("gradients", () => {
  test.for<[string, (config: DFineConfig) => void]>([
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
    [
      "projections and downsampling of RT-DETR",
      (config) => {
        Object.assign(config.decoder, { attentionProjections: true, inputProjection: "all" });
        config.encoder.downsample = "conv";
      },
    ],
    ["learned W(n)", (config) => (config.decoder.learnWeighting = true)],
    ["discrete sampling", (config) => (config.decoder.crossAttention = "discrete")],
  ])("reach every trainable parameter: %s", ([, change]) => {
    const config = tinyModel(change);
    using model = lively(config);
    backward(total(everything(model.trainingOutputs(images(2, 96), { denoising: denoising(config, 2) }))));
    expect(without(model)).toEqual([]);
  });

  /**
   * Compares the gradient of a loss on `chosen`, with respect to the parameters of one part, with the change of the loss
   * when they all move along a direction of their own. Only for parts that no detached tensor leads to the loss.
   */
  async function expectSlope(
    config: DFineConfig,
    { part, chosen }: { part: RegExp; chosen: (outputs: TrainingOutputs) => Tensor[] },
  ): Promise<void> {
    using model = lively(config);
    const x = images(2, 64);
    const loss = () => total(chosen(model.trainingOutputs(x)));
    backward(loss());
    const moving = [...model.namedParameters()].filter(([name, { requiresGrad }]) => requiresGrad && part.test(name));
    const random = new Random(5);
    let slope = 0;
    const directions = new Map<string, { values: TypedArray; direction: number[] }>();
    for (const [name, parameter] of moving) {
      const [values, gradient] = [await parameter.data(), await parameter.grad!.data()];
      const direction = Array.from(values, () => random.normal());
      directions.set(name, { values, direction });
      slope += direction.reduce((sum, d, i) => sum + d * gradient[i]!, 0);
    }
    const along = async (step: number) => {
      const moved = moving.map(([name, { shape }]) => {
        const { values, direction } = directions.get(name)!;
        return [name, { shape, data: Float64Array.from(values, (value, i) => value + step * direction[i]!) }] as const;
      });
      model.loadStateDict(new Map(moved), { strict: false });
      return await noGrad(loss).item();
    };
    // So small that next to none of the thousands of values before a ReLU changes its sign.
    const difference = ((await along(1e-8)) - (await along(-1e-8))) / 2e-8;
    expect(Math.abs(slope)).toBeGreaterThan(1e-3);
    expectClose([slope], [difference], 1e-5);
  }

  test.for<[string, (config: DFineConfig) => void]>([
    ["as D-FINE", () => {}],
    [
      "CSP blocks, two transformer layers",
      (config) => Object.assign(config.encoder, { block: "csp", layers: 2, transformerLevels: [0, 1] }),
    ],
    [
      "residual fusion, frozen stem and norms",
      (config) => {
        config.decoder.fusion = "residual";
        Object.assign(config.backbone, { freezeAt: 0, freezeNorm: true });
      },
    ],
  ])("are the slopes of the outputs: %s", async ([, change]) => {
    const single = tinyModel((config) => {
      change(config);
      config.decoder.layers = 1;
    });
    await expectSlope(single, {
      part: /^(backbone|encoder|decoder\.enc_)/,
      chosen: ({ enc }) => enc.flatMap(({ logits, boxes }) => [logits, boxes]),
    });
    // With one layer, all that is detached comes before the decoder: the references of its queries. (Boxes add to others.)
    await expectSlope(single, {
      part: /^decoder\.(decoder|dec_|query_pos)/,
      chosen: ({ last }) => [last.logits, last.corners!],
    });
    await expectSlope(single, { part: /^decoder\.dec_bbox/, chosen: ({ last }) => [last.boxes] });
    await expectSlope(single, { part: /^decoder\.pre_bbox/, chosen: ({ pre }) => [pre!.boxes] });
  });

  /** Parameters, by module, that a loss on `chosen` trains. */
  function trained(chosen: (outputs: TrainingOutputs) => (Tensor | undefined)[]): Set<string> {
    const config = tinyModel();
    using model = lively(config);
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

const config = tinyModel();
/** Forward and backward of a batch with `count` targets, of which nothing is learned. */
const step = (model: ReturnType<typeof lively>, count: number): void =>
  scope("step", () => {
    backward(total(everything(model.trainingOutputs(images(2, 96), { denoising: denoising(config, count) }))));
    model.zeroGrad();
  });

describe("memory", () => {
  test("nothing stays behind, in either mode", () => {
    const before = liveStorages();
    const model = lively(config);
    step(model, 2);
    const settled = liveStorages();
    for (const count of [1, 3, 0, 2]) step(model, count);
    expect(liveStorages()).toBe(settled);
    scope("evaluation", () => {
      noGrad(() => model.eval().predictions(images(1, 96)));
    });
    expect(liveStorages()).toBe(settled);
    model.dispose();
    expect(liveStorages()).toBe(before);
  });

  test("other numbers of targets need no other kernels", () => {
    using model = lively(config);
    step(model, 2);
    step(model, 3);
    const settled = kernelCount();
    for (const count of [1, 4, 6]) step(model, count);
    expect(kernelCount()).toBe(settled);
  });
});
