import { availableParallelism } from "node:os";
import { expect, test } from "vitest";
import { BenchError, parseOptions } from "./options.ts";

test("without options everything is measured that has a peer's file", () => {
  const options = parseOptions([]);
  expect(options).toMatchObject({ only: ["kernels", "infer", "train", "start"], presets: ["n", "s"], size: 640 });
  expect(options).toMatchObject({ trainSize: 320, trainBatch: 4, peers: false, json: false, device: "cpu" });
  expect(options.threads).toEqual([availableParallelism()]);
  expect(options.peersFolder).toMatch(/shared.peers$/);
});

test("lists are split at commas", () => {
  const options = parseOptions(["--only", "infer, train", "--preset=x", "--threads", "1,2", "--peers", "--json"]);
  expect(options).toMatchObject({ only: ["infer", "train"], presets: ["x"], threads: [1, 2], peers: true, json: true });
});

test.each([
  [["--only", "speed"], "--only: speed is unknown; choose from kernels, infer, train, start"],
  [["--preset", "n,q"], "--preset: q is unknown; choose from n, s, m, l, x"],
  [["--size", "100"], "--size: 100 is not a multiple of 32 above 0"],
  [["--wide", "on"], "--wide: on is unknown; choose from auto, off"],
  [["--threads", "1,0"], "--threads: 0 is not a whole number above 0"],
  [["--threads", "1.5"], "--threads: 1.5 is not a whole number above 0"],
  [["--rounds", "1.5"], "--rounds: 1.5 is not a whole number above 0"],
  [["--seconds", "soon"], "--seconds: soon is not a number above 0"],
  [["--device", "tpu"], "--device: tpu is unknown; choose from cpu, webgpu"],
  [["--fast"], "use: npm run bench"],
])("%j is refused", (args, message) => {
  expect(() => parseOptions(args)).toThrow(BenchError);
  expect(() => parseOptions(args)).toThrow(message);
});
