import { existsSync, readFileSync } from "node:fs";
import { glob } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { badInputRows } from "./badInput.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));

test("rows are told apart by their ids", () => {
  const ids = badInputRows.map(({ id }) => id);
  expect(ids.length).toBeGreaterThan(40);
  expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([]);
});

test.each(badInputRows)("$id: $test shows it", ({ id, message, test: file }) => {
  expect(existsSync(root + file), `${file} exists`).toBe(true);
  const text = readFileSync(root + file, "utf8");
  expect(text).toContain(message === "" ? `[${id}]` : `"${id}"`);
  if (message !== "") expect(text).toContain("says(");
});

test("what tests show stands in the table", async () => {
  const ids = new Set(badInputRows.map(({ id }) => id));
  for await (const path of glob("packages/*/src/**/*.test.ts", { cwd: root })) {
    const shown = [...readFileSync(root + path, "utf8").matchAll(/says\(\s*"([^"]+)"/g)].map(([, id]) => id!);
    expect(
      shown.filter((id) => !ids.has(id)),
      path,
    ).toEqual([]);
  }
});
