import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keptChoices, noChoices, readChoices, writeChoices } from "@dfine/backend-webgpu";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { runCommand } from "../../../test/runCommand.ts";
import { openTuning } from "../../device.ts";

const folder = mkdtempSync(join(tmpdir(), "dfine-tune-"));
const file = join(folder, "card.json");
const choices = {
  "matmul 64 64 64 1": { kernel: "direct 4×8", milliseconds: 1, usual: "direct 16×16", usualMilliseconds: 1.5 },
};
let adapter = "";
beforeAll(async () => {
  // Before choices have a folder of their own, since a driver in software is kept there too.
  using tuning = await openTuning({ seconds: 1, again: true });
  adapter = tuning.adapter;
  vi.stubEnv("XDG_CACHE_HOME", folder);
  keptChoices().write({ ...noChoices(adapter), choices });
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

const tune = (...options: string[]) => runCommand("tune", ...options);

test("what is kept is shown, exported, forgotten and taken back", async () => {
  expect((await tune("--show")).out).toMatch(/ 1\.000 +1\.500 {2}matmul 64 64 64 1: direct 4×8\n1 product of /);
  expect((await tune("--export", file, "--quiet")).code).toBe(0);
  expect(readChoices(readFileSync(file, "utf8"), file).choices).toEqual(choices);
  const deleted = await tune("--delete", "--json");
  expect(JSON.parse(deleted.out)).toEqual({ adapter, file: keptChoices().path(adapter), deleted: true });
  expect(keptChoices().read(adapter)).toBeUndefined();
  const nothing = await tune("--export", file);
  expect(nothing.code).toBe(2);
  expect(nothing.err).toMatch(/nothing is kept of .* yet; run dfine tune first/);
  expect(JSON.parse((await tune("--import", file, "--json")).out)).toMatchObject({ adapter, choices });
});

test("an export of another adapter, and a file that is none, are refused by name", async () => {
  writeFileSync(file, writeChoices(noChoices("another card")));
  const other = await tune("--import", file);
  expect(other.code).toBe(2);
  expect(other.err).toMatch(/card\.json is of another adapter: another card; this machine has /);
  writeFileSync(file, "[]");
  const none = await tune("--import", file);
  expect(none.code).toBe(1);
  expect(none.err).toMatch(/card\.json is no file of tuned products/);
  const missing = await tune("--import", join(folder, "missing.json"));
  expect(missing.code).toBe(1);
  expect(missing.err).toMatch(/missing\.json/);
});

test("one thing is done at a time", async () => {
  const both = await tune("--show", "--delete");
  expect(both.code).toBe(2);
  expect(both.err).toMatch(/give one of --show and --delete, not both/);
});
