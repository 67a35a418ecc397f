import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-examples-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function run(example: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [join(import.meta.dirname, example), ...args], {
    cwd: folder,
  });
  return stdout;
}

// In this order: the second needs the weights that the first writes.
test("train-on-a-folder draws digits, learns, evaluates and saves", async () => {
  const printed = await run("train-on-a-folder/train.ts", "--steps", "2");
  expect(printed).toMatch(/^step 1: loss \d+\.\d\d, .*\nstep 2: loss \d+\.\d\d, .*\nAP {4}Average Precision/);
  expect(printed).toMatch(/wrote trained\.safetensors\n$/);
});

test("train-on-a-folder takes a data.yaml", async () => {
  expect(await run("train-on-a-folder/train.ts", "digits/data.yaml", "--steps", "1")).toMatch(/^step 1: loss/);
});

test("detect-in-node prints objects and draws them", async () => {
  const printed = await run("detect-in-node/detect.ts", "trained.safetensors", "digits/images/val/00000.png");
  for (const line of printed.trim().split("\n").filter(Boolean))
    expect(line).toMatch(/^digits\/images\/val\/00000\.png: \d \d\.\d\d at [\d. ]+$/);
  expect((await stat(join(folder, "found-00000.png"))).size).toBeGreaterThan(0);
  await expect(run("detect-in-node/detect.ts")).rejects.toThrow("usage: node detect.ts WEIGHTS IMAGES…");
});

test("detect-over-http answers 32 requests at once as it answers them one at a time", async () => {
  const script = join(import.meta.dirname, "detect-over-http/serve.ts");
  const server = spawn(process.execPath, [script, "trained.safetensors", "0"], { cwd: folder });
  try {
    const [greeting] = (await once(server.stdout, "data")) as [Buffer];
    const address = /http:\S+/.exec(`${greeting}`)![0];
    const post = async (body: Uint8Array<ArrayBuffer>) => {
      const response = await fetch(`${address}?threshold=0.01`, { method: "POST", body });
      return { status: response.status, body: (await response.json()) as { error?: string; objects?: unknown[] } };
    };
    const images: Uint8Array<ArrayBuffer>[] = [];
    for (let i = 0; i < 32; i++)
      images.push(new Uint8Array(await readFile(join(folder, `digits/images/val/${`${i % 8}`.padStart(5, "0")}.png`))));
    const alone: unknown[] = [];
    for (const image of images) alone.push(await post(image));
    expect(alone[0]).toMatchObject({ status: 200, body: { objects: expect.arrayContaining([expect.anything()]) } });
    expect(new Set(alone.map((answer) => JSON.stringify(answer))).size).toBeGreaterThan(1);
    expect(await Promise.all(images.map(post))).toEqual(alone);
    const [first, wrong, last] = await Promise.all([images[0]!, Uint8Array.of(1, 2), images[1]!].map(post));
    expect([first, last]).toEqual(alone.slice(0, 2));
    expect([wrong!.status, wrong!.body.error]).toEqual([400, expect.stringContaining("not an image")]);
  } finally {
    server.kill();
  }
});
