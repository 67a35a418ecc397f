import { describe, expect, test } from "vitest";
import { complexityOf } from "../../complexity.ts";
import { resolveConfig } from "../../config/resolve.ts";
import { SIZES } from "../figures/detectors.ts";

import { type Experiment, ExperimentError, parseExperiment, referencesOf, rowConfigs } from "./experiment.ts";
import { EXPERIMENTS } from "./experiments.ts";
import { SCALES, scaleOptions } from "./scales.ts";
import { table2 } from "./tables/table2.ts";
import { table3 } from "./tables/table3.ts";
import { table4 } from "./tables/table4.ts";

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
    expect(other).toEqual(
      resolveConfig({ preset: one.preset, task: "coco", recipe: one.recipe, fdr: true, goLsd: true }),
    );
  });

  test("table 2 has its detectors in its rows, and takes no other", () => {
    expect(() => rowConfigs(table2, [{ preset: "n" }])).toThrow(ExperimentError);
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
