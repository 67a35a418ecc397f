import { existsSync, readdirSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cpu } from "@dfine/backend-cpu";
import { readNamed } from "@dfine/nn";
import { withBackend } from "@dfine/tensor";
import { InferenceSession } from "onnxruntime-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { lively } from "../../../test/livelyModel.ts";
import { runCommand } from "../../../test/runCommand.ts";
import { tinyModel } from "../../../test/tinyModel.ts";
import { writeModelFile } from "../../checkpoint/modelFile.ts";
import { tensorSources } from "../../tensorFile.ts";

let folder = "";
const at = (name: string) => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-export-"));
  const backend = cpu({ threads: 1 });
  const config = tinyModel();
  using model = withBackend(backend, () => lively(config));
  const sources = tensorSources(await readNamed(model.stateDict()));
  await writeFile(at("tiny.safetensors"), writeModelFile(sources, { preset: "n", model: config }));
  backend.dispose();
});
afterAll(() => rm(folder, { recursive: true }));

const exported = (...parts: string[]) => runCommand("export", "--weights", at("tiny.safetensors"), ...parts);

test("ONNX is compared with onnxruntime before it is reported", async () => {
  const { code, out } = await exported("--out", at("tiny.onnx"), "--post", "--dynamic", "--json", "--quiet");
  expect(code).toBe(0);
  const { check, ...told } = JSON.parse(out);
  expect(told).toMatchObject({ format: "onnx", files: [at("tiny.onnx")], size: [96, 96], dynamic: true, post: true });
  expect(check.runs.map(({ size, batch }: { size: number[]; batch: number }) => [...size, batch])).toEqual([
    [96, 96, 1],
    [96, 96, 3],
    [192, 128, 1],
    [192, 128, 3],
  ]);
  for (const { difference } of check.runs) expect(difference).toBeLessThan(1e-4);
  const session = await InferenceSession.create(at("tiny.onnx"));
  expect(session.inputNames).toEqual(["images", "orig_target_sizes"]);
  expect(session.outputNames).toEqual(["labels", "boxes", "scores"]);
});

test("nothing that is there is written over", async () => {
  await writeFile(at("mine"), "mine");
  for (const format of ["onnx", "safetensors"]) {
    const { code, err } = await exported("--format", format, "--out", at("mine"));
    expect([code, err]).toEqual([2, `error: ${at("mine")}: is there already; remove it, or give another --out\n`]);
  }
});

test("what a format cannot hold is said, and nothing written", async () => {
  const files = readdirSync(folder);
  const wrong = await exported("--format", "safetensors", "--post", "--out", at("never"));
  expect([wrong.code, wrong.err]).toEqual([2, "error: --post is for --format onnx; safetensors holds weights alone\n"]);
  const missing = await exported("--out", join(folder, "no", "never.onnx"));
  expect([missing.code, missing.err]).toEqual([1, expect.stringMatching(/never\.onnx: .*folder does not exist/)]);
  const other = await runCommand("export", "--weights", import.meta.filename, "--out", at("never"));
  expect([other.code, other.err]).toEqual([1, expect.stringMatching(/neither a \.pth nor a safetensors file/)]);
  const size = await exported("--size", "100", "--out", at("never"));
  expect([size.code, size.err]).toEqual([2, expect.stringMatching(/multiple of 32/)]);
  expect(readdirSync(folder)).toEqual(files);
});

test("weights for others", async () => {
  expect((await exported("--format", "safetensors", "--out", at("official.safetensors"))).code).toBe(0);
  const { code, out } = await exported("--format", "huggingface", "--out", at("hub"));
  expect([code, out]).toEqual([0, `${at("hub")}: D-FINE-N, DFineForObjectDetection.from_pretrained loads it\n`]);
  for (const name of ["model.safetensors", "config.json", "preprocessor_config.json"])
    expect(existsSync(join(at("hub"), name))).toBe(true);
});
