import { Random, referenceBackend, withBackend } from "@dfine/tensor";
import { describe, expect, test } from "vitest";
import { tinyModel } from "../../../test/tinyModel.ts";
import { tinySource } from "../../../test/tinyTraining.ts";
import { complexityOf } from "../../complexity.ts";
import type { Config } from "../../config/config.ts";
import { type ConfigOptions, isTree, keyPaths, resolveConfig, valueAt } from "../../config/resolve.ts";
import { buildDetector } from "../../model/architectures.ts";
import { Trainer } from "../../train/trainer.ts";
import { SIZES } from "../figures/detectors.ts";
import { type Experiment, ExperimentError, parseExperiment, referencesOf, rowConfigs } from "./experiment.ts";
import { EXPERIMENTS } from "./experiments.ts";
import { SCALES, scaleOptions } from "./scales.ts";
import { table2 } from "./tables/table2.ts";
import { table3 } from "./tables/table3.ts";
import { table4 } from "./tables/table4.ts";
import { table5 } from "./tables/table5.ts";

/** Keys whose values differ, the innermost. */
function differing(one: Config, other: Config): string[] {
  const at = (config: Config, key: string) => valueAt(config, key.split("."));
  return [...new Set([...keyPaths(one), ...keyPaths(other)])].filter(
    (key) =>
      ![one, other].some((config) => isTree(at(config, key))) &&
      JSON.stringify(at(one, key)) !== JSON.stringify(at(other, key)),
  );
}

const tiny: ConfigOptions = { preset: "n", model: tinyModel(), train: { batch: 2 } };

describe("the paper's tables", () => {
  test("their parameters and GFLOPs are the paper's within 1 % and 3 %, but for rounding, or a row says what is known", () => {
    const said = [...rowConfigs(table3)].map(([key, { model }]) => {
      const { parameters, gflops } = complexityOf(model);
      const { paper, note } = table3.rows[key]!;
      // The paper rounds to millions and to whole GFLOPs.
      const near = (found: number, wanted: number | undefined, share: number, rounding: number) =>
        wanted === undefined || Math.abs(found - wanted) <= share * wanted + rounding;
      const isNear = near(parameters, paper?.parameters, 0.01, 5e5) && near(gflops, paper?.gflops, 0.03, 0.5);
      return [key, isNear ? "near" : note === undefined ? "far, and nobody knows why" : "far, and said"];
    });
    const far = said.filter(([, what]) => what !== "near");
    expect(far).toEqual([
      ["baseline", "far, and said"],
      ["projections", "far, and said"],
    ]);
  });

  test("the last row of table 3, the usual ones of table 4 are the preset", () => {
    const preset = resolveConfig({ preset: "l", task: "coco" });
    expect(rowConfigs(table3).get("golsd")).toEqual(preset);
    for (const key of ["half-quarter", "n32", "t5"]) expect(rowConfigs(table4).get(key)).toEqual(preset);
  });

  /** In which keys each row differs from the one that it is compared with. */
  const CHANGES: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
    table3: {
      projections: ["model.decoder.attentionProjections", "model.decoder.inputProjection"],
      gate: ["model.decoder.fusion"],
      gelan: ["model.encoder.block", "model.encoder.downsample", "model.encoder.expansion"],
      halved: ["model.encoder.expansion"],
      points: ["model.decoder.points"],
      pointsFine: ["model.decoder.points"],
      pointsCoarse: ["model.decoder.points"],
      strategy: ["train.augmentation.stopEpoch"],
      fdr: ["model.decoder.boxHead"],
      golsd: ["criterion.matching", "criterion.distillation"],
    },
    table5: {
      logits: ["criterion.distillation"],
      features: ["criterion.distillation"],
      fdr: ["model.decoder.boxHead"],
      localization: ["criterion.distillation"],
      golsd: ["criterion.matching", "criterion.distillation"],
    },
    table4: {
      "quarter-quarter": ["model.decoder.up"],
      "half-linear": ["model.decoder.regScale"],
      "half-eighth": ["model.decoder.regScale"],
      "one-quarter": ["model.decoder.up"],
      learned: ["model.decoder.learnWeighting"],
      ...Object.fromEntries([4, 8, 16, 64, 128].map((bins) => [`n${bins}`, ["model.decoder.regMax"]])),
      ...Object.fromEntries(["1", "2_5", "7_5", "10", "20"].map((t) => [`t${t}`, ["criterion.distillation"]])),
    },
  };

  test.each(Object.entries(CHANGES))("%s: a row differs from its neighbour in what it says alone", (name, changes) => {
    const experiment = EXPERIMENTS[name]!;
    const configs = rowConfigs(experiment);
    const found = [...referencesOf(experiment)].map(([key, other]) => [
      key,
      differing(configs.get(key)!, configs.get(other)!).sort(),
    ]);
    expect(Object.fromEntries(found)).toEqual(
      Object.fromEntries(Object.entries(changes).map(([key, keys]) => [key, [...keys].sort()])),
    );
  });

  test.each(Object.keys(EXPERIMENTS))("%s fits every size that is its to choose, and every scale", (name) => {
    const experiment = EXPERIMENTS[name]!;
    const sizes = SIZES.map((preset) => ({ preset }));
    const scales = (Object.keys(SCALES) as (keyof typeof SCALES)[]).map((scale) => scaleOptions(scale, experiment));
    for (const options of [...scales, ...(experiment === table2 ? [] : sizes)])
      expect(rowConfigs(experiment, [options]).size).toBe(Object.keys(experiment.rows).length);
  });

  /** Of the public code, and of it with the methods; the paper's AP of both, %. */
  const TABLE2 = {
    deformable: [41_181_529, 41_511_517, 43.7, 47.1],
    dab: [47_405_994, 47_735_982, 44.2, 49.5],
    dn: [47_429_154, 47_759_142, 46, 49.7],
    dino: [46_893_182, 47_058_690, 49, 51.6],
    dino24: [46_893_182, 47_058_690, 50.4, 52.4],
  };
  test.each(Object.entries(TABLE2))("table 2, %s: parameters are the public code's", (key, [plain, both, ...aps]) => {
    const configs = rowConfigs(table2);
    const [one, other] = [configs.get(key)!, configs.get(`${key}-both`)!];
    expect([one, other].map(({ model }) => complexityOf(model).parameters)).toEqual([plain, both]);
    const paper = [key, `${key}-both`].map((row) => Math.round(1000 * table2.rows[row]!.paper!.ap!) / 10);
    expect(paper).toEqual(aps);
    expect(referencesOf(table2).get(`${key}-both`)).toBe(key);
    const epochs = key === "dino24" ? 24 : 12;
    expect([one, other].map(({ train }) => [train.epochs, train.batch])).toEqual([
      [epochs, 16],
      [epochs, 16],
    ]);
    // One is the preset, the other that with both switches, and nothing else.
    expect(one).toEqual(resolveConfig({ preset: one.preset, task: "coco", recipe: one.recipe }));
    expect(differing(one, other)).toContain("model.decoder.boxHead");
    expect(other).toEqual(
      resolveConfig({ preset: one.preset, task: "coco", recipe: one.recipe, fdr: true, goLsd: true }),
    );
  });

  test("table 2 has its detectors in its rows, and takes no other", () => {
    expect(() => rowConfigs(table2, [{ preset: "n" }])).toThrow(ExperimentError);
  });
});

describe("rows of one seed", () => {
  /** Tensors of a model by name, with first weights. */
  async function weightsOf({ model }: Config): Promise<Map<string, string>> {
    const backend = referenceBackend();
    using detector = withBackend(backend, () => buildDetector(model).initialize(new Random(0).fork("weights")));
    const found = new Map<string, string>();
    for (const [name, tensor] of detector.stateDict()) found.set(name, `${tensor.shape}: ${await tensor.data()}`);
    return found;
  }
  const REMOVED = {
    projections: [/cross_attn\.(value|output)_proj\./, /input_proj\./],
    gate: [/\.norm2\./],
    gelan: [/(fpn_blocks|pan_blocks|downsample_convs)\./],
    strategy: [],
    golsd: [],
  } satisfies Record<string, readonly RegExp[]>;

  test.each(Object.entries(REMOVED))(
    "have the same first weights where names and shapes agree: %s",
    async (key, removed) => {
      const configs = rowConfigs(table3, [tiny]);
      const before = await weightsOf(configs.get(referencesOf(table3).get(key)!)!);
      const after = await weightsOf(configs.get(key)!);
      const gone = [...before].filter(([name, text]) => after.get(name) !== text);
      for (const [name] of gone)
        expect(
          removed.some((pattern) => pattern.test(name)),
          name,
        ).toBe(true);
      for (const pattern of removed) expect(gone.some(([name]) => pattern.test(name))).toBe(true);
    },
  );

  /** Terms of the losses of a first step, by what their names begin with. */
  async function termsOf(config: Config): Promise<string[]> {
    const backend = referenceBackend();
    using trainer = await Trainer.create({ config, backend });
    for await (const batch of tinySource(1).batches(0)) {
      const { losses } = await trainer.step(batch, 1);
      return [...new Set(Object.keys(losses).map((name) => name.split("_")[1]!))].sort();
    }
    return [];
  }
  const USUAL = ["bbox", "giou", "vfl"];
  const TERMS = {
    baseline: USUAL,
    logits: [...USUAL, "logits"],
    features: [...USUAL, "features"],
    fdr: [...USUAL, "fgl"],
    localization: [...USUAL, "fgl", "localization"],
    golsd: [...USUAL, "fgl", "ddf"],
  } satisfies Record<string, readonly string[]>;

  test.each(Object.entries(TERMS))("have the losses that they say: %s", async (key, terms) => {
    expect(await termsOf(rowConfigs(table5, [tiny]).get(key)!)).toEqual([...terms].sort());
  });
});

describe("an experiment of one's own", () => {
  const base: Experiment = {
    ...{ title: "mine", source: "nothing", base: { preset: "n" } },
    rows: {
      plain: { label: "plain", patch: {} },
      deltas: { label: "deltas", patch: { model: { decoder: { boxHead: "delta" } } } },
    },
  };

  test("is taken as it is, and its options lie between its base and its rows", () => {
    const configs = rowConfigs(parseExperiment(base, "mine.yaml"), [
      { model: { decoder: { boxHead: "delta", layers: 2 } } },
    ]);
    expect([...configs.values()].map(({ model }) => model.decoder.boxHead)).toEqual(["delta", "delta"]);
    expect(configs.get("plain")).toEqual(configs.get("deltas"));
  });

  test.each([
    [{ ...base, rows: {} }, /^mine\.yaml: rows: there are none/],
    [{ ...base, title: "" }, /^mine\.yaml: title: /],
    [{ ...base, rows: { "a/b": base.rows.plain } }, /^mine\.yaml: rows\.a\/b: /],
    [{ ...base, rows: { a: { label: "a" } } }, /^mine\.yaml: rows\.a\.patch: give keys of a configuration/],
    [{ ...base, against: "fdr" }, /^mine\.yaml: against: there is no row fdr; the rows are plain, deltas/],
    ["text", /^mine\.yaml: the experiment: /],
  ])("is refused with the key that is wrong: %#", (value, message) => {
    expect(() => parseExperiment(value, "mine.yaml")).toThrow(message);
  });

  test("a wrong key of a row is told with the nearest right one", () => {
    const rows = { wrong: { label: "wrong", patch: { model: { decoder: { boxHed: "delta" } } } } };
    expect(() => rowConfigs(parseExperiment({ ...base, rows }, "mine.yaml"))).toThrow(/boxHed.*did you mean.*boxHead/);
  });
});
