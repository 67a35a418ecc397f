import { cpSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Random } from "@dfine/tensor";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCommand } from "../../../test/runCommand.ts";
import { withSmallDisk } from "../../../test/smallDisk.ts";
import { inRun, tinyResume, tinyTrain } from "../../../test/tinyRun.ts";
import { openCheckpoint } from "../../checkpoint/open.ts";
import { makeDigits } from "../demo/digits.ts";

let folder = "";
let data = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-damage-"));
  ({ dataYaml: data } = await makeDigits({ folder: join(folder, "digits"), train: 4, val: 2, size: 96 }));
  for (const [name, steps] of [
    ["whole", "4"],
    ["stopped", "3"],
  ] as const)
    expect((await train(folder, name, "--steps", steps)).code).toBe(0);
});
afterAll(() => rm(folder, { recursive: true }));

const train = (out: string, name: string, ...options: string[]) =>
  runCommand(...tinyTrain({ data, out, name }), "--quiet", "stopEpoch=1", ...options);
const resume = (out: string, name: string) => runCommand(...tinyResume(out, name), "--quiet");
const stateOf = (out: string, name: string) => readFileSync(inRun(out, name, "weights", "state.safetensors"));

function flip(path: string, random: Random): void {
  const bytes = readFileSync(path);
  bytes[random.integer(bytes.length)]! ^= 1 << random.integer(8);
  writeFileSync(path, bytes);
}

describe("a bit that is another in a run folder is noticed or harmless:", () => {
  test.each(["data.json", "config.yaml", "events.jsonl", "results.csv", "env.json", "report.html"])(
    "%s",
    async (file) => {
      const random = new Random(7).fork(file);
      const name = `flipped-${file}`;
      cpSync(inRun(folder, "stopped"), inRun(folder, name), { recursive: true });
      flip(inRun(folder, name, file), random);
      const { code, err } = await resume(folder, name);
      expect(err).not.toContain("    at ");
      if (code === 0) expect(stateOf(folder, name).equals(stateOf(folder, "whole"))).toBe(true);
      else expect(err).toMatch(/^error: /m);
    },
  );

  test.each(["best", "last"])("weights/%s.safetensors", (file) => {
    const path = inRun(folder, "whole", "weights", `${file}.safetensors`);
    const whole = readFileSync(path);
    const content = (bytes: Uint8Array) => {
      const { entries, model } = openCheckpoint(bytes);
      const tensors = [...entries].map(([name, { shape, bytes: own }]) => [
        name,
        shape,
        Buffer.from(own).toString("base64"),
      ]);
      return JSON.stringify([model, tensors]);
    };
    const random = new Random(8);
    for (let i = 0; i < 60; i++) {
      const flipped = Buffer.from(whole);
      flipped[random.integer(whole.length)]! ^= 1 << random.integer(8);
      // Only in the checksum's own name a bit changes nothing.
      try {
        expect(content(flipped)).toBe(content(whole));
      } catch (error) {
        expect((error as Error).name).toMatch(/^(ModelFileError|SafetensorsError)$/);
      }
    }
  });
});

test("a disk that fills up ends the run with its last state whole, from which it goes on to the same bits", async (context) => {
  await withSmallDisk(context, 8 * 2 ** 20, async (disk) => {
    expect((await train(disk, "full", "--steps", "3")).code).toBe(0);
    const before = stateOf(disk, "full");
    const { bavail, bsize } = statfsSync(disk);
    const filler = join(disk, "filler");
    writeFileSync(filler, new Uint8Array(bavail * bsize - before.length / 2));
    const { code, err } = await resume(disk, "full");
    expect([code, err]).toEqual([1, expect.stringContaining("the disk is full")]);
    expect(stateOf(disk, "full").equals(before)).toBe(true);
    rmSync(filler);
    expect((await resume(disk, "full")).code).toBe(0);
    expect(stateOf(disk, "full").equals(stateOf(folder, "whole"))).toBe(true);
  });
});
