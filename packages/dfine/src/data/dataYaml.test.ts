import { describe, expect, test } from "vitest";
import { says, thrown } from "../../test/badInput.ts";
import { checkCategoryNames, checkSameCategories } from "./categories.ts";
import { parseDataYaml } from "./dataYaml.ts";
import { DatasetError } from "./errors.ts";
import { cocoDataset } from "./parseCoco.ts";

const text = `path: ../data
train: { images: train, annotations: annotations/train.json }
val:
  images: val
  annotations: annotations/val.json
names: [cat, dog]
`;

test("path, splits and names are read", () => {
  expect(parseDataYaml(text, "d.yaml")).toEqual({
    path: "../data",
    train: { images: "train", annotations: "annotations/train.json" },
    val: { images: "val", annotations: "annotations/val.json" },
    names: ["cat", "dog"],
  });
});

test("a path without a value, as templates have it, is the file's own folder", () => {
  expect(parseDataYaml("path:\ntrain: images/train\nval:\nnames: [cat]\n", "d.yaml").path).toBe(".");
});

test("path and names may be left out; names may be numbered", () => {
  expect(parseDataYaml("train: { images: a, annotations: b }", "d.yaml")).toMatchObject({
    path: ".",
    names: undefined,
  });
  expect(parseDataYaml("nc: 2\nnames:\n  1: dog\n  0: cat\n", "d.yaml").names).toEqual(["cat", "dog"]);
});

describe("what is wrong is said with line, key and remedy", () => {
  const bomb = [
    "a: &a [x, x, x, x, x, x, x, x, x]",
    ..."bcdefgh".split("").map((name, i) => `${name}: &${name} [${Array(9).fill(`*${"abcdefgh"[i]}`).join(", ")}]`),
  ].join("\n");
  const coco = JSON.stringify({ images: [], annotations: [], categories: [] });
  test.each([
    ["yaml-key", "path: .\ntrian: { images: a, annotations: b }\n"],
    ["yaml-inner-key", "train:\n  images: a\n  annotation: b\n"],
    ["yaml-yolo", "path: .\ntrain: images/train\n"],
    ["yaml-part", "val:\n  images: a\n"],
    ["yaml-names", "names: cat\n"],
    ["yaml-syntax", "train: { images: [\n"],
    ["yaml-twice", "path: a\npath: b\n"],
    ["yaml-list", "- a\n"],
    ["yaml-names-gap", "names: { 0: a, 2: b }\n"],
    ["yaml-nc", "nc: 3\nnames: [a]\n"],
    ["yaml-aliases", bomb],
    ["yaml-nested", `path: ${"[".repeat(20_000)}`],
    ["yaml-coco", coco],
    ["yaml-coco-large", coco + " ".repeat(1_000_000)],
    ["yaml-prototype", "__proto__: { polluted: 1 }\n"],
  ])("%s", async (row, broken) => {
    const error = await thrown(() => parseDataYaml(broken, "d.yaml"));
    expect(error).toBeInstanceOf(DatasetError);
    says(row, error);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });
});

test("parts with other classes, or names that differ, are refused", async () => {
  const of = (file: string, ...names: string[]) =>
    cocoDataset({ images: [], annotations: [], categories: names.map((name, id) => ({ id, name })) }, file);
  expect(() => checkSameCategories(of("a", "cat", "dog"), of("b", "cat", "dog"))).not.toThrow();
  says("classes-differ", await thrown(() => checkSameCategories(of("a", "cat", "dog"), of("b", "dog", "cat"))));
  expect(() => checkSameCategories(of("a", "cat", "dog"), of("b", "cat"))).toThrow(
    /label 1 is nothing.*also those without/,
  );
  says("names-differ", await thrown(() => checkCategoryNames(of("a", "cat"), ["dog"], "d.yaml")));
});
