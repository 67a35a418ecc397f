import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { says, thrown } from "../../test/badInput.ts";
import { resolveConfig } from "../config/resolve.ts";
import { startProgress } from "../train/progress.ts";
import { readTrainState, writeTrainState } from "../train/stateFile.ts";
import { writeFileAtomic } from "./checkpointFile.ts";
import { createRunFolder, makeFolder, type RunFolder, RunFolderError } from "./runFolder.ts";
import { readRun, readStage1 } from "./runState.ts";

const root = mkdtempSync(join(tmpdir(), "dfine-state-"));
afterAll(() => rmSync(root, { recursive: true }));

const config = resolveConfig({ model: { classes: ["a", "b"] } });
const weights = new Map([["w", { shape: [2], data: Float32Array.of(1, 2) }]]);
const stateAt = (step: number) =>
  writeTrainState({
    ...{ model: weights, ema: weights, optimizer: weights, emaUpdates: step, config },
    progress: { ...startProgress(), step },
  });

/** A run with states of steps 2 and 4. */
async function saved(): Promise<RunFolder> {
  const run = await createRunFolder(root, "train", "x");
  await makeFolder(dirname(run.state));
  writeFileSync(run.config, stringify(config));
  for (const step of [2, 4]) await writeFileAtomic(run.state, stateAt(step), run.previous);
  return run;
}
const stepOf = ({ state }: { state: Uint8Array }) => readTrainState(state).progress.step;

function flip(path: string, bit: number): void {
  const bytes = readFileSync(path);
  bytes[bit >> 3]! ^= 1 << (bit & 7);
  writeFileSync(path, bytes);
}

describe("of two saved states", () => {
  test("the last one counts, where it is whole", async () => {
    const found = await readRun(await saved());
    expect([stepOf(found), found.notes]).toEqual([4, []]);
    expect(found.config).toEqual(config);
  });

  test("the one before takes the place of a damaged one, which is put aside and said", async () => {
    const run = await saved();
    flip(run.state, 9000);
    const found = await readRun(run);
    expect(stepOf(found)).toBe(2);
    says("state-damaged", found.notes[0]);
    expect([existsSync(run.state), existsSync(`${run.state}.damaged`)]).toEqual([false, true]);
    await writeFileAtomic(run.state, stateAt(6), run.previous);
    expect(stepOf(await readRun(run))).toBe(6);
    expect(readTrainState(readFileSync(run.previous)).progress.step).toBe(2);
  });

  test("one that the system refuses to read is not damaged, and stays where it is", async () => {
    const run = await saved();
    rmSync(run.state);
    await makeFolder(run.state);
    await expect(readRun(run)).rejects.toMatchObject({ code: "EISDIR" });
    expect([existsSync(run.state), existsSync(`${run.state}.damaged`)]).toEqual([true, false]);
  });

  test("the one before takes the place of one that a kill left nowhere", async () => {
    const run = await saved();
    rmSync(run.state);
    const found = await readRun(run);
    expect(stepOf(found)).toBe(2);
    says("state-missing", found.notes[0]);
  });

  test("neither goes on where both are damaged, and nothing is changed", async () => {
    const run = await saved();
    for (const path of [run.state, run.previous]) flip(path, 9001);
    const error = await thrown(() => readRun(run));
    expect(error).toBeInstanceOf(RunFolderError);
    says("states-damaged", error);
    expect(existsSync(run.state)).toBe(true);
  });

  test("bits all over the file count: with one of them changed it is not used", async () => {
    const run = await saved();
    const whole = readFileSync(run.state);
    const harmless: string[] = [];
    for (let bit = 0; bit < 8 * whole.length; bit += 61) {
      flip(run.state, bit);
      const found = await readRun(run);
      if (stepOf(found) === 4) harmless.push(JSON.stringify(readTrainState(found.state)));
      writeFileSync(run.state, whole);
    }
    // Where a bit of the checksum's own name is another, the rest is as it was.
    expect(new Set(harmless.map((text) => text === JSON.stringify(readTrainState(whole))))).not.toContain(false);
  });
});

describe("a configuration that was changed", () => {
  test("is refused, with the key and both values", async () => {
    const run = await saved();
    writeFileSync(run.config, stringify(resolveConfig(config, ["train.optimizer.learningRate=0.5"])));
    says("run-config-changed", await thrown(() => readRun(run)));
  });

  test("is taken where the weights do not depend on it", async () => {
    const run = await saved();
    const longer = resolveConfig(config, ["train.epochs=999", "train.saveEvery=7"]);
    writeFileSync(run.config, stringify(longer));
    expect((await readRun(run)).config).toEqual(longer);
  });

  test("in any one bit is noticed, or is the same configuration", async () => {
    const run = await saved();
    const whole = readFileSync(run.config);
    for (let bit = 0; bit < 8 * whole.length; bit += 97) {
      flip(run.config, bit);
      const found = await readRun(run).catch((error: unknown) => {
        expect(error).toBeInstanceOf(RunFolderError);
        return undefined;
      });
      if (found) {
        const { epochs, valBatch, checkpointEvery, saveEvery, snapshotEvery, earlyStop, limits } = found.config.train;
        const free = { epochs, valBatch, checkpointEvery, saveEvery, snapshotEvery, earlyStop };
        const { nonFiniteSteps } = limits;
        expect(found.config).toEqual({
          ...config,
          train: { ...config.train, ...free, limits: { ...config.train.limits, nonFiniteSteps } },
        });
      }
      writeFileSync(run.config, whole);
    }
  });
});

test("the best state of stage 1 may be missing, but not damaged", async () => {
  const run = await saved();
  expect(await readStage1(run)).toBeUndefined();
  writeFileSync(run.stage1, stateAt(2));
  expect(stepOf({ state: (await readStage1(run))! })).toBe(2);
  flip(run.stage1, 9000);
  says("stage1-damaged", await thrown(() => readStage1(run)));
});
