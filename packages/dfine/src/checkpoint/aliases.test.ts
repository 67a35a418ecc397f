import { readSafetensors, writeSafetensors } from "@dfine/nn";
import { expect, test } from "vitest";
import { withoutAliases } from "./aliases.ts";
import { ModelFileError } from "./errors.ts";

const entriesOf = (tensors: Readonly<Record<string, readonly number[]>>) =>
  readSafetensors(
    writeSafetensors(
      new Map(
        Object.entries(tensors).map(([name, data]) => [
          name,
          { dtype: "F32", shape: [data.length], data: Float32Array.from(data) } as const,
        ]),
      ),
    ),
  ).entries;

const aliases = new Map([
  ["decoder.head", "head"],
  ["head.1", "head"],
]);

test("other names of a tensor are left out where the numbers are the same", () => {
  const entries = entriesOf({ head: [1, 2], "decoder.head": [1, 2], "head.1": [1, 2], other: [3] });
  expect([...withoutAliases({ file: "x", entries }, aliases).keys()]).toEqual(["head", "other"]);
});

test("and refused, by name, where they are not", () => {
  const entries = entriesOf({ head: [1, 2], "decoder.head": [1, 2], "head.1": [1, 3] });
  expect(() => withoutAliases({ file: "x", entries }, aliases)).toThrow(ModelFileError);
  expect(() => withoutAliases({ file: "x", entries }, aliases)).toThrow(
    /x: its tensors head and head\.1 .*different numbers/,
  );
});

test("a file without the name that is kept goes on as it is", () => {
  const entries = entriesOf({ "head.1": [1], other: [2] });
  expect([...withoutAliases({ file: "x", entries }, aliases).keys()]).toEqual(["head.1", "other"]);
});
