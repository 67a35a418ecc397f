import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { writeFileAtomic } from "./checkpointFile.ts";

const root = mkdtempSync(join(tmpdir(), "dfine-checkpoint-"));
afterAll(() => rmSync(root, { recursive: true }));
const folder = () => mkdtempSync(join(root, "at-"));

test("replaces the bytes and leaves nothing else behind", async () => {
  const at = folder();
  const path = join(at, "last.safetensors");
  await writeFileAtomic(path, new Uint8Array([1, 2, 3]));
  await writeFileAtomic(path, "new");
  expect(readFileSync(path, "utf8")).toBe("new");
  expect(readdirSync(at)).toEqual(["last.safetensors"]);
});

test("writers at the same time leave one of their files whole", async () => {
  const at = folder();
  const path = join(at, "x");
  const contents = Array.from({ length: 8 }, (_, i) => String(i).repeat(50_000));
  await Promise.all(contents.map((text) => writeFileAtomic(path, text)));
  expect(contents).toContain(readFileSync(path, "utf8"));
  expect(readdirSync(at)).toEqual(["x"]);
});

test("a failed write keeps the old file and removes its own", async () => {
  const at = folder();
  const path = join(at, "x");
  writeFileSync(path, "old");
  // A folder in the file's place can't be renamed over.
  const blocked = join(at, "folder");
  await writeFileAtomic(join(at, "inner"), "");
  mkdirSync(join(blocked, "child"), { recursive: true });
  await expect(writeFileAtomic(blocked, "data")).rejects.toThrow();
  expect(readFileSync(path, "utf8")).toBe("old");
  expect(readdirSync(at).sort()).toEqual(["folder", "inner", "x"]);
});
