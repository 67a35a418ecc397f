import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BackendError, matmul, noGrad, scope, tensor, withBackend } from "@dfine/tensor";
import { afterAll, afterEach, describe, expect, it, vi } from "vitest";
import { evaluate, f32, variants } from "../../test/opKit.ts";
import { makeBackend, type WebGpuBackend, webgpu } from "../backend.ts";
import { openDevice } from "../device/openDevice.ts";
import { candidatesOf, shapeName } from "../kernels/product/shapes.ts";
import { keptChoices } from "./kept.node.ts";

const open = await openDevice();
const { backend, runtime } = makeBackend(open, { tuning: "measured" });
const folder = mkdtempSync(join(tmpdir(), "dfine-tuning-"));
afterAll(() => {
  backend.dispose();
  rmSync(folder, { recursive: true });
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

const SIDE = 48;
const CLASS = "matmul 64 64 64 1";
const values = Float32Array.from({ length: SIDE * SIDE }, (_, i) => Math.sin(i));
const matrix = f32(values, [SIDE, SIDE]);
const product = (on: WebGpuBackend) => () =>
  withBackend(on, () =>
    scope("product", () => void noGrad(() => matmul(tensor(values, [SIDE, SIDE]), tensor(values, [SIDE, SIDE])))),
  );

describe("products on a device", () => {
  it("are measured when they are rehearsed, once, and then run the kernel that was best", async () => {
    const names = candidatesOf(runtime.products.device, {
      ...{ a: { alongK: true, inFours: true }, b: { alongK: false, inFours: true } },
    }).map(shapeName);
    const { bytes } = backend.memory();
    await backend.precompile(product(backend));
    const choice = backend.choices.choices[CLASS]!;
    expect(names).toContain(choice.kernel);
    expect(choice.usualMilliseconds).toBeGreaterThanOrEqual(choice.milliseconds);
    expect(choice.milliseconds).toBeGreaterThan(0);
    expect(backend.memory().bytes).toBe(bytes);
    const { dispatches } = backend.counters;
    await backend.precompile(product(backend));
    expect(backend.counters.dispatches).toBe(dispatches);
    expect(await variants(backend, [matrix, matrix], ([a, b]) => [matmul(a!, b!)])).toEqual([
      `matmul: ${choice.kernel}`,
    ]);
  });

  it("run the kernel that is given for their class, and the same sums come out", async () => {
    const choice = { kernel: "direct 4×8", milliseconds: 1, usual: "direct 16×16", usualMilliseconds: 2 };
    const choices = { ...backend.choices, choices: { [CLASS]: choice } };
    const given = makeBackend(open, { choices }).backend;
    expect(await variants(given, [matrix, matrix], ([a, b]) => [matmul(a!, b!)])).toEqual(["matmul: direct 4×8"]);
    const plain = makeBackend(open, {}).backend;
    const [one] = await evaluate(given, [matrix, matrix], ([a, b]) => [matmul(a!, b!)]);
    const [other] = await evaluate(plain, [matrix, matrix], ([a, b]) => [matmul(a!, b!)]);
    for (const [i, value] of one!.entries()) expect(value).toBeCloseTo(other![i]!, 4);
  });
});

describe("what was measured is kept", () => {
  it("for the next device on the adapter; fixed, it is not asked", async () => {
    vi.stubEnv("XDG_CACHE_HOME", folder);
    const measuring = await webgpu({ tuning: "measured" });
    await measuring.precompile(product(measuring));
    const { choices } = measuring;
    measuring.dispose();
    expect(Object.keys(choices.choices)).toEqual([CLASS]);
    const kept = keptChoices();
    expect(kept.read(choices.adapter)).toEqual(choices);
    const next = await webgpu({ tuning: "measured" });
    expect(next.choices).toEqual(choices);
    next.dispose();
    for (const options of [{ tuning: "fixed" }, {}] as const) {
      const fixed = await webgpu(options);
      expect(fixed.choices.choices).toEqual({});
      fixed.dispose();
    }
    expect(kept.remove(choices.adapter)).toBe(true);
    expect(kept.remove(choices.adapter)).toBe(false);
    expect(kept.read(choices.adapter)).toBeUndefined();
  });

  it("a damaged file is told, and not used", async () => {
    vi.stubEnv("XDG_CACHE_HOME", folder);
    const path = keptChoices().path(open.identity);
    writeFileSync(path, "{");
    const written: string[] = [];
    vi.spyOn(process.stderr, "write").mockImplementation((text) => written.push(String(text)) > 0);
    const own = await webgpu({ tuning: "measured" });
    expect(own.choices.choices).toEqual({});
    expect(written.join("")).toMatch(/what is measured of products cannot be kept: webgpu: .* is no JSON/);
    own.dispose();
    expect(readFileSync(path, "utf8")).toBe("{");
    expect(() => keptChoices().read(open.identity)).toThrow(BackendError);
  });
});
