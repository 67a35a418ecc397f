import { expect, test } from "vitest";
import { stringify } from "yaml";
import { says, thrown } from "../../test/badInput.ts";
import { resolveConfig } from "../config/resolve.ts";
import { DatasetError } from "../data/errors.ts";
import { parseDataFiles } from "./datasets.ts";
import { parseRunConfig } from "./runConfig.ts";
import { RunFolderError } from "./runFolder.ts";

test("a configuration comes back as it was written", () => {
  const config = resolveConfig({ preset: "s", model: { classes: ["a", "0", "null", "true: x"] } }, ["train.seed=7"]);
  expect(parseRunConfig(stringify(config), "config.yaml")).toEqual(config);
});

test.each([
  ["run-config-syntax", "preset: n\ntrain: { epochs: 3\n"],
  ["run-config-list", "- preset: n\n"],
  ["run-config-empty", ""],
  ["run-config-key", "train: { epoch: 3 }\n"],
  ["run-config-value", "train: null\n"],
])("%s", async (row, text) => {
  const error = await thrown(() => parseRunConfig(text, "config.yaml"));
  expect(error).toBeInstanceOf(RunFolderError);
  says(row, error);
});

test("data files come back as they were written", () => {
  for (const files of [{ data: "/a/data.yaml" }, { train: { images: "/i", annotations: "/a.json" } }])
    expect(parseDataFiles(JSON.stringify(files), "data.json")).toEqual(files);
});

test.each([
  "",
  "null",
  "[]",
  "7",
  '{"data": 3}',
  '{"train": {"images": "x"}}',
  '{"dta": "x"}',
  '{"__proto__": {"data": "x"}, "data": "y"}',
])("a record of data files that says nothing: %j", async (text) => {
  const error = await thrown(() => parseDataFiles(text, "data.json"));
  expect(error).toBeInstanceOf(DatasetError);
  says("run-data", error);
});
