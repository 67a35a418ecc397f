import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { untar } from "./tar.ts";

const folder = mkdtempSync(join(tmpdir(), "dfine-tar-"));
afterAll(() => rmSync(folder, { recursive: true }));

it("gives the files that tar packed, and tells an archive that was cut off", () => {
  const files = { "a.txt": "abc", empty: "", "block.bin": "x".repeat(512), "long.bin": "yz".repeat(700) };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  execFileSync("tar", ["-cf", "all.tar", ...Object.keys(files)], { cwd: folder });
  const archive = readFileSync(join(folder, "all.tar"));
  const text = new TextDecoder();
  expect(Object.fromEntries(untar(archive).map(({ name, bytes }) => [name, text.decode(bytes)]))).toEqual(files);
  expect(() => untar(archive.subarray(0, 3500))).toThrow(/"long\.bin" does not fit in the archive/);
  for (const length of [0, 1536, 3000]) expect(() => untar(archive.subarray(0, length))).toThrow(/has no end/);
  expect(untar(new Uint8Array(1024))).toEqual([]);
});
