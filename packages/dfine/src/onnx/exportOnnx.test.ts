import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cpu } from "@dfine/backend-cpu";
import { readNamed } from "@dfine/nn";
import { withBackend } from "@dfine/tensor";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { enlivened, lively } from "../../test/livelyModel.ts";
import { livelyWeights } from "../../test/livelyWeights.ts";
import { tinyDetr } from "../../test/tinyDetr.ts";
import { tinyModel } from "../../test/tinyModel.ts";
import { writeModelFile } from "../checkpoint/modelFile.ts";
import { DETR_PRESET_NAMES } from "../config/config.ts";
import type { PresetModel } from "../config/presets.ts";
import type { RgbImage } from "../data/image.ts";
import { DFine } from "../dfine.ts";
import { buildDetector } from "../model/architectures.ts";
import { ALIKE, checkOnnx, type OnnxCheckOptions } from "../node/checkOnnx.ts";
import { decodeImage } from "../node/data/decode.ts";
import { makeDigits } from "../node/demo/digits.ts";
import { tensorSources } from "../tensorFile.ts";
import { exportOnnx, type OnnxOptions } from "./exportOnnx.ts";
import { traceModel } from "./trace.ts";
import { writeGraph } from "./writeGraph.ts";

const backend = cpu({ threads: 1 });
const device = { device: backend };
let detector: DFine;
let images: RgbImage[] = [];
let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-onnx-"));
  const { train } = await makeDigits({ folder, train: 3, val: 1 });
  images = await Promise.all(train.dataset.images.map(({ fileName }) => decodeImage(join(train.imageRoot, fileName))));
  detector = await DFine.fromPretrained(
    await livelyWeights({ classes: ["a", "b", "c"], size: [256, 256], ...device }),
    device,
  );
});
afterAll(async () => {
  detector.dispose();
  backend.dispose();
  await rm(folder, { recursive: true });
});

/** The largest difference between what the detector computes and what onnxruntime does of its file. */
async function apart(of: DFine, options: OnnxOptions, check: OnnxCheckOptions = {}): Promise<number> {
  const found = await checkOnnx(await exportOnnx(of, options), of, { images, post: options.post ?? false, ...check });
  expect(found.map(({ batch }) => batch)).toEqual((check.sizes ?? [0]).flatMap(() => [1, 3]));
  return Math.max(...found.map(({ difference }) => difference));
}

describe("onnxruntime computes the same of n", () => {
  const sizes = [
    [256, 256],
    [288, 352],
  ] as const;
  test("at any size", async () => expect(await apart(detector, { dynamic: true }, { sizes })).toBeLessThan(ALIKE));
  test("as detections", async () => expect(await apart(detector, { post: true })).toBeLessThan(ALIKE));
  test("unless it is stopped", async () => {
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(exportOnnx(detector, { signal })).rejects.toThrow("enough");
  });
  test("and not of other weights", async () => {
    using other = await DFine.create({ classes: ["a", "b", "c"], size: [256, 256], ...device });
    const [found] = await checkOnnx(await exportOnnx(other), detector, { images });
    expect(found!.difference).toBeGreaterThan(100 * ALIKE);
  });
});

const other = (change: (model: PresetModel) => void) => change;
const PARTS = {
  "frozen norms without affine blocks": other(({ backbone }) => {
    backbone.freezeNorm = true;
    backbone.learnableAffine = false;
  }),
  "csp blocks, residual fusion, plain deltas": other(({ encoder, decoder }) => {
    encoder.block = "csp";
    decoder.fusion = "residual";
    decoder.boxHead = "delta";
  }),
  "the nearest pixel, tokens chosen by class, learnt queries": other(({ decoder }) => {
    decoder.crossAttention = "discrete";
    decoder.querySelect = "one2many";
    decoder.learnQueryContent = true;
  }),
  "an agnostic head, an early layer, a letterbox": other((model) => {
    model.decoder.querySelect = "agnostic";
    model.decoder.evalLayer = 1;
    model.resize = "letterbox";
  }),
};

test.each(Object.entries(PARTS))("other parts: %s", async (_, change) => {
  const config = tinyModel(change);
  using model = withBackend(backend, () => lively(config));
  const file = writeModelFile(tensorSources(await readNamed(model.stateDict())), { preset: "n", model: config });
  using tiny = await DFine.fromPretrained(file, device);
  const sizes = [
    [96, 96],
    [160, 128],
  ] as const;
  expect(await apart(tiny, { dynamic: true, post: true }, { sizes })).toBeLessThan(ALIKE);
  expect(await apart(tiny, {})).toBeLessThan(ALIKE);
});

test.each(DETR_PRESET_NAMES)("another DETR: %s", async (family) => {
  const config = tinyDetr(family, { fdr: family === "dino", goLsd: false }).model;
  config.resize = "squeeze";
  config.evalSize = [128, 128];
  using model = withBackend(backend, () => enlivened(buildDetector(config)));
  const file = writeModelFile(tensorSources(await readNamed(model.stateDict())), { preset: family, model: config });
  using tiny = await DFine.fromPretrained(file, device);
  const sizes = [
    [128, 128],
    [256, 192],
  ] as const;
  expect(await apart(tiny, { dynamic: true, post: true }, { sizes })).toBeLessThan(ALIKE);
  expect(await apart(tiny, {})).toBeLessThan(ALIKE);
});

test("constants have the names of the state dict, or say what they were computed of", async () => {
  const { model } = detector;
  using deployed = withBackend(backend, () => model.deploy());
  const trace = await traceModel(
    { model: deployed, config: model.config, backend },
    {
      sizes: [2, 256, 256],
      inputs: ([batch, height, width]) => [[batch!, 3, height!, width!]],
      run: (traced, [given]) => [traced.predictions(given!).logits],
      anySize: false,
    },
  );
  const known = deployed.stateDict();
  const { graph } = writeGraph(trace, () => "images");
  const names = [...graph.initializers.keys()].filter((name) => !/^(?:ints|f32|i32|bool|scales)\./.test(name));
  const strange = names.filter((name) => !known.has(name.split("/")[0]!));
  expect(names).toContain("decoder.decoder.layers.0.self_attn.in_proj_weight");
  expect(names).toContain("backbone.stem.stem1.bn.bias/normBias");
  expect(strange.map((name) => name.split("/")[0])).toEqual(["constant", "arange"]);
});

test.each([
  [{ size: [330, 320] }, /330/],
  [{ size: 320 }, /size/],
  [{ dynamik: true }, /dynamic/],
] as const)("options %j are refused", async (options, message) => {
  await expect(exportOnnx(detector, options as OnnxOptions)).rejects.toThrow(message);
});
