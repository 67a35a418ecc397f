import { readSafetensors, writeSafetensors } from "@dfine/nn";
import { expect, test } from "vitest";
import { resolveConfig } from "../config/resolve.ts";
import { ModelFileError } from "./errors.ts";
import { isModelFile, readModelFile, writeModelFile } from "./modelFile.ts";

const { preset, model } = resolveConfig({ model: { classes: ["cat", "dog"], evalSize: [320, 352] } });
const tensors = new Map([["w", { dtype: "F32", shape: [2], data: Float32Array.of(1, 2) } as const]]);
const read = (bytes: Uint8Array) => readModelFile(readSafetensors(bytes), "x.safetensors");

test("a file tells preset and model", () => {
  expect(read(writeModelFile(tensors, { preset, model }))).toEqual({ preset, model });
});

test("a file tells the threshold of its weights where there is one", () => {
  expect(read(writeModelFile(tensors, { preset, model, threshold: 0.375 }))).toEqual({
    preset,
    model,
    threshold: 0.375,
  });
});

test("a description that names no parts is one of D-FINE's", () => {
  const unsaid = JSON.stringify(model, (key, value) => (key === "type" || key === "architecture" ? undefined : value));
  expect(unsaid).not.toContain("hgnetv2");
  expect(read(withMetadata({ ...described, model: unsaid }))).toEqual({ preset, model });
});

const withMetadata = (entries: Record<string, string>) => writeSafetensors(tensors, new Map(Object.entries(entries)));
const described = { format: "dfine-model", version: "1", preset: "n", model: JSON.stringify(model) };

test("files of others are not ours", () => {
  expect(isModelFile(readSafetensors(withMetadata(described)))).toBe(true);
  expect(isModelFile(readSafetensors(withMetadata({ format: "pt" })))).toBe(false);
  expect(isModelFile(readSafetensors(writeSafetensors(tensors)))).toBe(false);
});

test.each([
  ["another format", { ...described, format: "dfine-train-state" }, /holds dfine-train-state.*best\.safetensors/],
  ["a later version", { ...described, version: "2" }, /version 2.*update dfine/],
  ["a damaged model", { ...described, model: "{" }, /damaged/],
  ["keys that are not ours", { ...described, model: `{"__proto__":{},${JSON.stringify(model).slice(1)}` }, /damaged/],
  ["a threshold that is no share", { ...described, threshold: "1.5" }, /damaged/],
  ["a threshold that is empty", { ...described, threshold: "" }, /damaged/],
  ["a threshold that is no number", { ...described, threshold: "half" }, /damaged/],
  ["an unknown preset", { ...described, preset: "q" }, /damaged/],
])("%s is refused", (_, metadata, message) => {
  expect(() => read(withMetadata(metadata))).toThrow(message);
  expect(() => read(withMetadata(metadata))).toThrow(ModelFileError);
});
