import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkCategoryNames, checkSameCategories } from "./categories.ts";
import { cocoDataset } from "./coco.ts";
import { parseDataYaml } from "./dataYaml.ts";
import { DatasetError } from "./errors.ts";

const text = `path: ../data
train: { images: train, annotations: annotations/train.json }
val:
  images: val
  annotations: annotations/val.json
names: [cat, dog]
`;

test("path, splits and names are read", () => {
  const data = parseDataYaml(text, "d.yaml");
  expect(data.path).toBe("../data");
  expect([...data.splits]).toEqual([
    ["train", { images: "train", annotations: "annotations/train.json" }],
    ["val", { images: "val", annotations: "annotations/val.json" }],
  ]);
  expect(data.names).toEqual(["cat", "dog"]);
});

test("path and names may be left out; names may be numbered", () => {
  expect(parseDataYaml("train: { images: a, annotations: b }", "d.yaml")).toMatchObject({
    path: ".",
    names: undefined,
  });
  expect(parseDataYaml("nc: 2\nnames:\n  1: dog\n  0: cat\n", "d.yaml").names).toEqual(["cat", "dog"]);
});

describe("what is wrong is said with line, key and remedy", () => {
  test.each([
    [
      "a mistyped key",
      "path: .\ntrian: { images: a, annotations: b }\n",
      /d\.yaml: line 2: trian is not a key.*Did you mean train\?/,
    ],
    [
      "a mistyped inner key",
      "train:\n  images: a\n  annotation: b\n",
      /line \d: train\.annotation.*(mean annotations|does not fit)/,
    ],
    [
      "Ultralytics' folder form",
      "path: .\ntrain: images/train\n",
      /line 2: train does not fit.*Write train: \{ images.*YOLO/,
    ],
    ["a missing file", "val:\n  images: a\n", /val\.annotations does not fit.*Write val/],
    ["broken YAML", "train: { images: [\n", /is not valid YAML/],
    ["a list", "- a\n", /is not a mapping/],
    ["a gap in names", "names: { 0: a, 2: b }\n", /names has 2 entries but none for 1/],
    ["another count", "nc: 3\nnames: [a]\n", /line 1: nc is 3, but names has 1/],
  ])("%s", (_, broken, message) => {
    expect(() => parseDataYaml(broken, "d.yaml")).toThrow(DatasetError);
    expect(() => parseDataYaml(broken, "d.yaml")).toThrow(message);
  });

  test("aliases that would multiply without end", () => {
    const bomb = [
      "a: &a [x, x, x, x, x, x, x, x, x]",
      ..."bcdefgh".split("").map((name, i) => `${name}: &${name} [${Array(9).fill(`*${"abcdefgh"[i]}`).join(", ")}]`),
    ].join("\n");
    expect(() => parseDataYaml(bomb, "d.yaml")).toThrow(DatasetError);
  });
});

test("damaged text gives settings or a DatasetError, and prototypes stay clean", () => {
  expect(() => parseDataYaml("__proto__: { polluted: 1 }\n", "d.yaml")).toThrow(DatasetError);
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.nat(6), fc.string({ maxLength: 4 }), (at, length, inserted) => {
      try {
        parseDataYaml(text.slice(0, at) + inserted + text.slice(at + length), "d.yaml");
      } catch (error) {
        if (!(error instanceof DatasetError)) throw error;
      }
    }),
    { numRuns: 2000 },
  );
});

test("parts with other classes, or names that differ, are refused", () => {
  const of = (file: string, ...names: string[]) =>
    cocoDataset({ images: [], annotations: [], categories: names.map((name, id) => ({ id, name })) }, file);
  expect(() => checkSameCategories(of("a", "cat", "dog"), of("b", "cat", "dog"))).not.toThrow();
  expect(() => checkSameCategories(of("a", "cat", "dog"), of("b", "dog", "cat"))).toThrow(
    /b: label 0 is "dog".* in a it is "cat"/,
  );
  expect(() => checkSameCategories(of("a", "cat", "dog"), of("b", "cat"))).toThrow(
    /label 1 is nothing.*also those without/,
  );
  expect(() => checkCategoryNames(of("a", "cat"), ["dog"], "d.yaml")).toThrow(
    /a: has the categories cat, but d\.yaml names dog/,
  );
});
