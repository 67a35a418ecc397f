import { spawnSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { says, thrown } from "../../test/badInput.ts";
import { withSmallDisk } from "../../test/smallDisk.ts";
import { appendTo, writeFileAtomic } from "./checkpointFile.ts";

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

describe("a failed write keeps the old file and removes its own", () => {
  test("where a folder is in the way, or there is none", async () => {
    const at = folder();
    const path = join(at, "x");
    writeFileSync(path, "old");
    // A folder in the file's place can't be renamed over.
    const blocked = join(at, "folder");
    mkdirSync(join(blocked, "child"), { recursive: true });
    await expect(writeFileAtomic(blocked, "data")).rejects.toThrow(/folder: cannot be written/);
    says("write-no-folder", await thrown(() => writeFileAtomic(join(at, "none", "x"), "data")));
    expect(readFileSync(path, "utf8")).toBe("old");
    expect(readdirSync(at).sort()).toEqual(["folder", "x"]);
  });

  test("when the disk is full", async (context) => {
    await withSmallDisk(context, 64 * 1024, async (at) => {
      const path = join(at, "state.safetensors");
      await writeFileAtomic(path, "old".repeat(1000));
      const { bavail, bsize } = statfsSync(at);
      const error = await thrown(() => writeFileAtomic(path, new Uint8Array(bavail * bsize + 1)));
      says("write-disk-full", error);
      expect(error).toMatchObject({ code: "ENOSPC" });
      expect(readFileSync(path, "utf8")).toBe("old".repeat(1000));
      expect(readdirSync(at)).toEqual(["state.safetensors"]);
      says("append-disk-full", await thrown(() => appendTo(join(at, "events.jsonl"), "x".repeat(bavail * bsize + 1))));
    });
  });

  test("when files may not be that large (ulimit -f)", () => {
    const at = folder();
    const path = join(at, "state.safetensors");
    writeFileSync(path, "old");
    const script = `
      import { writeFileAtomic } from ${JSON.stringify(new URL("./checkpointFile.ts", import.meta.url).href)};
      await writeFileAtomic(${JSON.stringify(path)}, new Uint8Array(1 << 20)).catch((error) => console.log(error.message));
    `;
    const node = [process.execPath, "--input-type=module", "-e", script];
    const { stdout, stderr } = spawnSync("bash", ["-c", 'ulimit -f 64 && exec "$@"', "bash", ...node], {
      encoding: "utf8",
    });
    says("write-too-large", stdout + stderr);
    expect(readFileSync(path, "utf8")).toBe("old");
    expect(readdirSync(at)).toEqual(["state.safetensors"]);
  });

  test("where nothing may be written", async (context) => {
    if (process.getuid?.() === 0) context.skip("not run: root may write everywhere");
    const at = folder();
    writeFileSync(join(at, "x"), "old");
    chmodSync(at, 0o500);
    says("write-forbidden", await thrown(() => writeFileAtomic(join(at, "x"), "new")));
    chmodSync(at, 0o700);
    expect(readFileSync(join(at, "x"), "utf8")).toBe("old");
  });
});
