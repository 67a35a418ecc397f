import { describe, expect, test } from "vitest";
import { complexityOf } from "../../complexity.ts";
import { resolveConfig } from "../../config/resolve.ts";
import { SIZES } from "../figures/detectors.ts";
import { type Experiment, parseExperiment, rowConfigs } from "./experiment.ts";
import { EXPERIMENTS } from "./experiments.ts";
import { SCALES } from "./scales.ts";
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

  test.each(Object.keys(EXPERIMENTS))("%s fits every size and every scale", (name) => {
    const experiment = EXPERIMENTS[name]!;
    const all = [...SIZES.map((preset) => ({ preset })), ...Object.values(SCALES).map(({ options }) => options)];
    for (const options of all) expect(rowConfigs(experiment, [options]).size).toBe(Object.keys(experiment.rows).length);
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
