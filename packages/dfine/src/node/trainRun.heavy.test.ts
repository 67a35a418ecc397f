import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { liveStorages } from "@dfine/tensor";
import { afterAll, expect, test } from "vitest";
import { experimentIn, timeless } from "../../test/experiment.ts";
import { resolveBackend } from "../device.ts";
import { makeDigits } from "./demo/digits.ts";

const folder = mkdtempSync(join(tmpdir(), "dfine-beside-"));
afterAll(() => rm(folder, { recursive: true }));

test("runs on the CPU and on WebGPU beside each other leave what they leave after each other", async () => {
  const digits = await makeDigits({ folder: join(folder, "digits"), train: 6, val: 2, size: 96 });
  const backends = [await resolveBackend("cpu", { threads: 1 }), await resolveBackend("webgpu")];
  try {
    const run = (when: string, i: number) =>
      experimentIn(folder, { name: `${when}-${i}`, backend: backends[i]!, seed: i, digits });
    const before = liveStorages();
    const after = [await run("after", 0), await run("after", 1)];
    const beside = await Promise.all([run("beside", 0), run("beside", 1)]);
    expect(liveStorages()).toBe(before);
    for (const [i, { state, best, log }] of beside.entries()) {
      expect(state.equals(after[i]!.state)).toBe(true);
      expect(best.equals(after[i]!.best)).toBe(true);
      expect(timeless(log)).toEqual(timeless(after[i]!.log));
    }
  } finally {
    for (const backend of backends) backend.dispose();
  }
});
