import { readSafetensors, type SafetensorsSource, writeSafetensors } from "@dfine/nn";
import { expect, test } from "vitest";
import { says, thrown } from "../../test/badInput.ts";
import { ModelFileError } from "../checkpoint/errors.ts";
import { startProgress } from "./progress.ts";
import { readTrainState, writeTrainState } from "./stateFile.ts";

const tensors = new Map([["w", { shape: [2], data: Float32Array.of(1, 2) }]]);
const progress = {
  ...startProgress(),
  epoch: 3,
  step: 40,
  best: { value: 0.25, epoch: 2 },
  lossSums: { loss_vfl: 1.5 },
};
const state = { model: tensors, ema: tensors, emaUpdates: 40, optimizer: tensors, progress };

test("a state comes back as it was written", () => {
  expect(readTrainState(writeTrainState(state))).toEqual(state);
});

const changed = (change: (metadata: Map<string, string>) => void): Uint8Array => {
  const { metadata, entries } = readSafetensors(writeTrainState(state));
  const copy = new Map([...metadata].filter(([key]) => key !== "dfine.crc32"));
  change(copy);
  const sources = [...entries].map(([name, { shape }]): [string, SafetensorsSource] => [
    name,
    { dtype: "F32", shape, data: Float32Array.of(1, 2) },
  ]);
  return writeSafetensors(new Map(sources), copy);
};

test.each([
  ["no progress", (m: Map<string, string>) => m.delete("progress")],
  ["half of it", (m: Map<string, string>) => m.set("progress", '{"epoch":3')],
  ["null", (m: Map<string, string>) => m.set("progress", "null")],
  ["text for a number", (m: Map<string, string>) => m.set("progress", JSON.stringify({ ...progress, step: "40" }))],
  ["a step before the first", (m: Map<string, string>) => m.set("progress", JSON.stringify({ ...progress, step: -1 }))],
  ["no count of updates", (m: Map<string, string>) => m.delete("emaUpdates")],
  ["text for a count", (m: Map<string, string>) => m.set("emaUpdates", "many")],
])("a damaged record of progress is refused: %s", async (_, change) => {
  const error = await thrown(() => readTrainState(changed(change), "state.safetensors"));
  expect(error).toBeInstanceOf(ModelFileError);
  says("state-progress", error);
});

test("weights in place of a state are refused", async () => {
  const error = await thrown(() =>
    readTrainState(
      changed((m) => m.set("format", "dfine-model")),
      "last.safetensors",
    ),
  );
  says("state-weights", error);
});
