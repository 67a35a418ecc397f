import { decodeFloat32, writeSafetensors } from "@dfine/nn";
import { expect, test } from "vitest";
import { resolveConfig } from "./config/resolve.ts";
import { ModelFileError, readModelFile, writeModelFile } from "./modelFile.ts";

const { preset, model } = resolveConfig({ model: { classes: ["cat", "dog"], evalSize: [320, 352] } });
const tensors = new Map([["w", { dtype: "F32", shape: [2], data: Float32Array.of(1, 2) } as const]]);

test("a file tells preset, model and weights", () => {
  const file = readModelFile(writeModelFile(tensors, { preset, model }));
  expect(file.preset).toBe("n");
  expect(file.model).toEqual(model);
  expect([...decodeFloat32(file.entries.get("w")!)]).toEqual([1, 2]);
});

const plain = writeSafetensors(tensors);
const withMetadata = (entries: Record<string, string>) => writeSafetensors(tensors, new Map(Object.entries(entries)));
const described = { format: "dfine-model", version: "1", preset: "n", model: JSON.stringify(model) };

test.each([
  ["no description", plain, /no description of its model/],
  ["another format", withMetadata({ ...described, format: "dfine-train-state" }), /holds dfine-train-state/],
  ["a later version", withMetadata({ ...described, version: "2" }), /version 2.*update dfine/],
  ["a damaged model", withMetadata({ ...described, model: "{" }), /damaged/],
  ["an unknown preset", withMetadata({ ...described, preset: "q" }), /damaged/],
  ["a checkpoint of PyTorch", Uint8Array.from([0x50, 0x4b, 3, 4, 0, 0, 8, 8, 0, 0]), /\.pth/],
])("%s is refused", (_, bytes, message) => {
  expect(() => readModelFile(bytes, "x.safetensors")).toThrow(message);
  expect(() => readModelFile(bytes, "x.safetensors")).toThrow(ModelFileError);
});
