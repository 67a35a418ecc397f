import { resolveConfig } from "dfine";
import { expect, test } from "vitest";
import { GOALS, goalsTable, speedTable, withKnownRows } from "./goalsTable.ts";
import { growthPlot, growthTable } from "./growth.ts";
import { type Row, timesOf } from "./row.ts";
import { torchPeer } from "./torchPeer.ts";
import { trainingBatch } from "./train.ts";

const row = (
  name: string,
  implementation: Row["implementation"],
  milliseconds: number[],
  peak_bytes?: number,
): Row => ({
  ...{ work: "train", preset: "n", name, size: 320, batch: 4, threads: 2, implementation },
  ...timesOf(milliseconds),
  ...(peak_bytes === undefined ? {} : { peak_bytes }),
});

test("a goal is reached, or what must be, or neither; by the medians, as it is spoken of", () => {
  const goals = GOALS.filter(
    ({ name, peer }) => name === "train_n" || (name === "dfine_n" && peer === "onnxruntime-web"),
  );
  const peers = [row("dfine_n", "onnxruntime-web", [90, 100, 110]), row("train_n", "pytorch", [200, 200, 200])];
  const ours = (infer: number, step: number) => [
    row("dfine_n", "ours", [infer]),
    row("train_n", "ours", [step - 1, step, step + 9], 8e8),
    row("train_n", "before", [700], 1e9),
  ];
  expect(
    goalsTable([...peers, ...ours(33, 150)], goals)
      .split("\n")
      .slice(2),
  ).toEqual([
    "| inference of N at 640 | 33.0 / 33.0 / 33.0 ms (1) | onnxruntime-web: 90.0 / 100 / 110 ms (3) | 3.03× as fast | 2.40× as fast | 3.00× as fast | goal |",
    "| step of N, 320, batch 4 | 149 / 150 / 159 ms (3) | pytorch: 200 / 200 / 200 ms (3) | 0.75 of it | 0.85 of it | 0.70 of it | must |",
    "| memory of a step of N | 800 MB | before: 1000 MB | 0.80 of it | 1.00 of it | 0.80 of it | goal |",
  ]);
  const slower = goalsTable([...peers, ...ours(42, 171)], goals);
  expect(slower).toContain("2.38× as fast | 2.40× as fast | 3.00× as fast | not reached |");
  expect(slower).toContain("| 0.85 of it | 0.85 of it | 0.70 of it | not reached |");
  const other = { ...row("train_n", "ours", [1]), batch: 2 };
  expect(goalsTable([other, ...peers], goals)).toContain("| not measured | 0.85 of it | 0.70 of it |  |");
});

test("speeds are told with how many times as fast as each peer ours is", () => {
  const lines = speedTable([row("train_n", "ours", [100]), row("train_n", "pytorch", [150])]).split("\n");
  expect(lines[0]).toBe("| milliseconds | ours | onnxruntime-web | onnxruntime-node | pytorch |");
  expect(lines[8]).toBe("| training step of N, 320 × 320, batch 4 | **100** |  |  | 150 (1.50×) |");
});

test("what was not measured stays as it was known, by work and peer", () => {
  const both = (infer: number, step: number) => [
    ...(["ours", "onnxruntime-web", "onnxruntime-node"] as const).map((by) => row("dfine_n", by, [infer])),
    ...(["ours", "pytorch"] as const).map((by) => row("train_n", by, [step])),
  ];
  for (const table of [goalsTable, speedTable]) {
    const known = table(both(10, 20));
    expect(withKnownRows(table([]), known)).toBe(known);
    expect(withKnownRows(table(both(30, 40)), known)).toBe(table(both(30, 40)));
    const mixed = withKnownRows(table(both(30, 40).filter(({ name }) => name === "train_n")), known);
    const [inference, step] = [/^\| (inference of N|D-FINE-N)/, /^\| (training )?step of N/];
    const lines = (text: string, which: RegExp) => text.split("\n").filter((line) => which.test(line));
    expect(lines(mixed, inference)).toEqual(lines(known, inference));
    expect(lines(mixed, step)).toEqual(lines(table(both(30, 40)), step));
    expect(lines(mixed, step)).toHaveLength(1);
  }
});

test("growth is told in the order of presets and sizes, and drawn where there is more than one point", () => {
  const rows = [
    { ...row("train_n", "ours", [900], 5e8), batch: 8 },
    { ...row("train_n", "ours", [300], 2e8), batch: 2 },
    { ...row("dfine_s", "ours", [50]), work: "infer", preset: "s", batch: 1, size: 640 } as const,
    row("train_n", "pytorch", [1]),
  ];
  const lines = growthTable(rows).split("\n").slice(2);
  expect(lines).toEqual([
    "| step of N | 320 | 2 | 300 | 300 | 300 | 150 | 200 |",
    "| step of N | 320 | 8 | 900 | 900 | 900 | 113 | 500 |",
    "| inference of S | 640 | 1 | 50.0 | 50.0 | 50.0 | 50.0 |  |",
  ]);
  const svg = growthPlot(rows);
  expect(svg).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" width="560" height="280" /);
  expect(svg).toContain("training step");
  expect(svg).not.toContain("inference");
  const byPreset = (["n", "x"] as const).map((preset, i) => ({
    ...{ ...row(`train_${preset}`, "ours", [100]), preset, batch: 1 },
    learned: { loss: 1, parameters: (i + 1) * 1e6 },
  }));
  expect(growthPlot(byPreset)).toContain("weights that learn, in millions");
});

test("a python that cannot run the step is named; backbones that its script lacks are not started", async () => {
  const start = (preset: "n" | "l") => {
    const config = resolveConfig({ preset, task: "coco" });
    const data = trainingBatch({ size: 32, batch: 1, classes: 80 });
    return torchPeer("/nowhere/python3", { config, data, threads: 1, weights: () => new Uint8Array() });
  };
  expect(start("l")).toEqual({ implementation: "pytorch", reason: "bench/torch has no frozen norms" });
  const peer = start("n");
  if (!("start" in peer)) throw new Error(peer.reason);
  await expect(peer.start()).rejects.toThrow("/nowhere/python3 ended without an answer");
});
