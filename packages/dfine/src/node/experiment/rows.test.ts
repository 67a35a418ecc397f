import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cpu } from "@dfine/backend-cpu";
import { Random, referenceBackend, withBackend } from "@dfine/tensor";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { differingKeys } from "../../../test/differingKeys.ts";
import { tinyModel } from "../../../test/tinyModel.ts";
import { tinySource } from "../../../test/tinyTraining.ts";
import type { Config } from "../../config/config.ts";
import type { ConfigOptions } from "../../config/resolve.ts";
import { buildDetector } from "../../model/architectures.ts";
import { Trainer } from "../../train/trainer.ts";
import { trainLoaders } from "../data/trainLoaders.ts";
import { type DigitsDataset, makeDigits } from "../demo/digits.ts";
import { referencesOf, rowConfigs } from "./experiment.ts";
import { EXPERIMENTS } from "./experiments.ts";

/** In what a row differs from the one that it is compared with; what is not named is the same, bit for bit. */
interface Difference {
  /** Keys of the configuration. */
  readonly keys: readonly string[];
  /** Tensors that there are no longer, or only now. */
  readonly removed?: RegExp;
  readonly added?: RegExp;
  /** Tensors of another shape, or of one shape with other first values. */
  readonly resized?: RegExp;
  readonly set?: RegExp;
  /** Terms of the loss that there are only now; none ends. */
  readonly terms?: readonly string[];
}

const BOX_HEAD: Difference = {
  keys: ["model.decoder.boxHead"],
  added: /^decoder\.(decoder\.lqe_layers|pre_bbox_head)\./,
  resized: /^decoder\.dec_bbox_head\.\d\.layers\.2\./,
  terms: ["fgl"],
};
const DISTRIBUTIONS = { keys: ["model.decoder.regMax"], resized: /^decoder\.dec_bbox_head\.\d\.layers\.2\./ };
const TEMPERATURE = { keys: ["criterion.distillation"] };
const BOUND = { keys: ["model.decoder.up"], set: /^decoder\.(decoder\.)?up$/ };
const CURVE = { keys: ["model.decoder.regScale"], set: /^decoder\.(decoder\.)?reg_scale$/ };
const POINTS = { keys: ["model.decoder.points"], set: /\.cross_attn\.(num_points_scale|sampling_offsets\.bias)$/ };
const EXTRA_LAYERS = {
  keys: ["model.decoder.evalLayer", "model.decoder.layers"],
  added: /^decoder\.(decoder\.(layers|lqe_layers)|dec_score_head|dec_bbox_head)\.[3-5]\./,
};

/** What the paper's methods change in a DETR. */
const both = (...more: string[]): Difference => ({
  keys: [
    "criterion.distillation",
    "criterion.matching",
    "criterion.weights.fgl",
    "fdr",
    "goLsd",
    "model.decoder.boxHead",
  ]
    .concat(more)
    .sort(),
  removed: /^bbox_embed\./,
  added: /^(pre|dec|enc)_bbox_head\./,
  terms: ["ddf", "fgl"],
});
const EPSILON = "criterion.boxEpsilon";

const DIFFERENCES: Readonly<Record<string, Readonly<Record<string, Difference>>>> = {
  table2: {
    "deformable-both": both(),
    "dab-both": both(EPSILON),
    "dn-both": both(EPSILON, "criterion.names"),
    "dino-both": both(EPSILON),
    "dino24-both": both(EPSILON),
  },
  table3: {
    projections: {
      keys: ["model.decoder.attentionProjections", "model.decoder.inputProjection"],
      removed: /^decoder\.(input_proj\.|decoder\.layers\.\d\.cross_attn\.(value|output)_proj\.)/,
    },
    gate: {
      keys: ["model.decoder.fusion"],
      removed: /^decoder\.decoder\.layers\.\d\.norm2\./,
      added: /^decoder\.decoder\.layers\.\d\.gateway\./,
    },
    gelan: {
      keys: ["model.encoder.block", "model.encoder.downsample", "model.encoder.expansion"],
      removed: /^encoder\.((fpn|pan)_blocks\.\d\.(conv\d|bottlenecks)|downsample_convs\.\d\.(conv|norm))\./,
      added: /^encoder\.((fpn|pan)_blocks\.\d\.cv\d|downsample_convs\.\d\.0)\./,
    },
    halved: { keys: ["model.encoder.expansion"], resized: /^encoder\.(fpn|pan)_blocks\.\d\.cv\d\./ },
    points: POINTS,
    pointsFine: POINTS,
    pointsCoarse: POINTS,
    strategy: { keys: ["train.augmentation.stopEpoch"] },
    fdr: BOX_HEAD,
    golsd: { keys: ["criterion.distillation", "criterion.matching"], terms: ["ddf"] },
  },
  table4: {
    "quarter-quarter": BOUND,
    "half-linear": CURVE,
    "half-eighth": CURVE,
    "one-quarter": BOUND,
    learned: { keys: ["model.decoder.learnWeighting"] },
    ...Object.fromEntries([4, 8, 16, 64, 128].map((bins) => [`n${bins}`, DISTRIBUTIONS])),
    ...Object.fromEntries(["1", "2_5", "7_5", "10", "20"].map((value) => [`t${value}`, TEMPERATURE])),
  },
  table5: {
    logits: { keys: ["criterion.distillation"], terms: ["logits"] },
    features: { keys: ["criterion.distillation"], terms: ["features"] },
    fdr: BOX_HEAD,
    localization: { keys: ["criterion.distillation"], terms: ["localization"] },
    golsd: { keys: ["criterion.distillation", "criterion.matching"], terms: ["ddf"] },
  },
  "training-layers": { one: EXTRA_LAYERS, three: EXTRA_LAYERS },
};

/** Three levels, so that points can lie on each of them, and images of changing sizes. */
const tiny: ConfigOptions = {
  preset: "n",
  model: tinyModel((model) => {
    model.backbone.returnStages = [1, 2, 3];
    model.encoder.transformerLevels = [2];
    model.decoder.points = [3, 6, 3];
  }),
  train: { batch: 2, augmentation: { baseSizeRepeat: 3 } },
};

/** The same of DETRs, of any family. */
const { backbone, classes } = tinyModel();
const small = { feedForwardDim: 24, heads: 2, points: 2 };
const tinyDetr: ConfigOptions = {
  model: {
    ...{ classes, evalSize: [96, 96], resize: "squeeze", numTopQueries: 12, queries: { count: 12 } },
    backbone: { ...backbone, learnableAffine: false, freezeNorm: false },
    neck: { hiddenDim: 16, groups: 4, levels: 3 },
    encoder: { ...small, layers: 1 },
    decoder: { ...small, layers: 3, regMax: 8 },
  },
  train: { batch: 2 },
};

const backend = cpu({ threads: 1 });
let folder = "";
let digits: DigitsDataset;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-rows-"));
  digits = await makeDigits({ folder: join(folder, "digits"), train: 2, val: 1, size: 96 });
});
afterAll(async () => {
  backend.dispose();
  await rm(folder, { recursive: true });
});

interface FirstTensor {
  readonly shape: string;
  readonly values: string;
}

/** Tensors of a model by name, with first weights. */
async function firstTensors({ model }: Config): Promise<Map<string, FirstTensor>> {
  using detector = withBackend(referenceBackend(), () =>
    buildDetector(model).initialize(new Random(0).fork("weights")),
  );
  const found = new Map<string, FirstTensor>();
  for (const [name, tensor] of detector.stateDict())
    found.set(name, { shape: `${tensor.shape}`, values: `${await tensor.data()}` });
  return found;
}

/** Terms of the losses of a first step, by what their names begin with, in DN-DETR's after "tgt". */
async function lossTerms(config: Config): Promise<string[]> {
  using trainer = await Trainer.create({ config, backend });
  for await (const batch of tinySource(1).batches(0)) {
    const { losses } = await trainer.step(batch, 1);
    return [...new Set(Object.keys(losses).map((name) => name.replace(/^tgt_/, "").split("_")[1]!))];
  }
  return [];
}

/** All that a training's first batch holds, its numbers as bits. */
async function firstBatch(config: Config) {
  using data = trainLoaders(config, { train: digits.train, workers: 0 });
  const bits = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
    Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength).toString("hex");
  for await (const { images, targets, shape, imageIds } of data.train.batches(0))
    return {
      ...{ shape, imageIds, images: bits(images) },
      targets: targets.map(({ labels, boxes }) => [bits(labels), bits(boxes)]),
    };
  return undefined;
}

/** Names that match a pattern, all of them and some; none without a pattern. */
function expectNames(names: readonly string[], pattern: RegExp | undefined): void {
  if (pattern) expect(names).not.toEqual([]);
  expect(names.filter((name) => !pattern?.test(name))).toEqual([]);
}

test("each experiment is looked at", () => {
  expect(Object.keys(DIFFERENCES).sort()).toEqual(Object.keys(EXPERIMENTS).sort());
});

describe.each(Object.entries(DIFFERENCES))(
  "%s: a row differs from the one before in what it says alone",
  (name, differences) => {
    const experiment = EXPERIMENTS[name]!;
    const references = referencesOf(experiment);
    const configs = rowConfigs(experiment, [name === "table2" ? tinyDetr : tiny]);
    const pairs = Object.entries(differences).map(([key, difference]) => ({ key, difference }));

    /** What a configuration gives, computed once for a row. */
    function memoized<T>(compute: (config: Config) => Promise<T>): (key: string) => Promise<T> {
      const known = new Map<string, Promise<T>>();
      return (key) => {
        const found = known.get(key) ?? compute(configs.get(key)!);
        known.set(key, found);
        return found;
      };
    }
    const tensorsOf = memoized(firstTensors);
    const termsOf = memoized(lossTerms);
    const batchOf = memoized(firstBatch);

    test("in its configuration, whatever the size", () => {
      const full = rowConfigs(experiment);
      // Other detectors differ in much.
      const ofOne = [...references].filter(([key, other]) => full.get(key)!.preset === full.get(other)!.preset);
      const found = ofOne.map(([key, other]) => [key, differingKeys(full.get(key)!, full.get(other)!)]);
      expect(Object.fromEntries(found)).toEqual(
        Object.fromEntries(pairs.map(({ key, difference }) => [key, difference.keys])),
      );
    });

    test.each(pairs)("$key: in names, shapes and first values of its tensors", async ({ key, difference }) => {
      const [before, after] = [await tensorsOf(references.get(key)!), await tensorsOf(key)];
      const shared = [...before.keys()].filter((tensor) => after.has(tensor));
      const [resized, alike] = [true, false].map((other) =>
        shared.filter((tensor) => (before.get(tensor)!.shape !== after.get(tensor)!.shape) === other),
      ) as [string[], string[]];
      expectNames(
        [...before.keys()].filter((tensor) => !after.has(tensor)),
        difference.removed,
      );
      expectNames(
        [...after.keys()].filter((tensor) => !before.has(tensor)),
        difference.added,
      );
      expectNames(resized, difference.resized);
      expectNames(
        alike.filter((tensor) => before.get(tensor)!.values !== after.get(tensor)!.values),
        difference.set,
      );
    });

    test.each(pairs)("$key: in its losses", async ({ key, difference: { terms = [] } }) => {
      expect((await termsOf(key)).sort()).toEqual([...(await termsOf(references.get(key)!)), ...terms].sort());
    });

    test.each(pairs)("$key: in its first batch, where it says when augmentation ends", async ({ key, difference }) => {
      const [before, after] = [await batchOf(references.get(key)!), await batchOf(key)];
      if (difference.keys.includes("train.augmentation.stopEpoch")) expect(after).not.toEqual(before);
      else expect(after).toEqual(before);
    });
  },
);
