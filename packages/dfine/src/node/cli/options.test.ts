import { expect, test } from "vitest";
import { UsageError } from "./exit.ts";
import { dataFiles, inputSize, positiveNumber, share, wholeNumber } from "./options.ts";

test.each([
  ["320", [320, 320]],
  ["320x480", [320, 480]],
])("size %s", (text, size) => {
  expect(inputSize(text)).toEqual(size);
});

test.each(["", "x", "320x", "1x2x3", "0", "3.5", "a"])("size %j is refused", (text) => {
  expect(() => inputSize(text)).toThrow();
});

test("numbers", () => {
  expect(wholeNumber(1)("12")).toBe(12);
  expect(positiveNumber("4e-4")).toBe(4e-4);
  expect(share("0")).toBe(0);
  for (const text of ["", " ", "-1", "x", "NaN", "Infinity"]) expect(() => positiveNumber(text)).toThrow();
  for (const text of ["0", "1.5", "1e20"]) expect(() => wholeNumber(1)(text)).toThrow();
  expect(() => share("1.1")).toThrow();
});

test("data: a file or pairs, never half a pair", () => {
  const pair = { images: "i", annotations: "a.json" };
  expect(dataFiles({ data: "d.yaml" }, "train")).toEqual({ data: "d.yaml" });
  expect(dataFiles(pair, "train")).toEqual({ train: pair, val: undefined });
  expect(dataFiles({ ...pair, valImages: "v", valAnnotations: "v.json" }, "train")).toEqual({
    train: pair,
    val: { images: "v", annotations: "v.json" },
  });
  expect(dataFiles(pair, "val")).toEqual({ val: pair });
  for (const values of [{}, { images: "i" }, { annotations: "a" }, { ...pair, valImages: "v" }, { ...pair, data: "d" }])
    expect(() => dataFiles(values, "train")).toThrow(UsageError);
  for (const values of [{}, { images: "i" }, { ...pair, data: "d" }])
    expect(() => dataFiles(values, "val")).toThrow(UsageError);
});
