import { exp, noGrad, readResults, tensor } from "@dfine/tensor";
import { afterEach, expect, it, vi } from "vitest";
import { webgpu } from "../backend.ts";
import { environment } from "./environment.ts";

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

it("TRACE and DISABLE are read anew for every backend", () => {
  expect(environment()).toMatchObject({ trace: false, disable: [] });
  vi.stubEnv("TRACE", "1");
  vi.stubEnv("DISABLE", "matmul,topK");
  expect(environment()).toMatchObject({ trace: true, disable: ["matmul", "topK"] });
  vi.stubEnv("TRACE", "0");
  expect(environment().trace).toBe(false);
});

it("with TRACE=1 kernels are listed when the backend is disposed, and DISABLE takes overrides away", async () => {
  vi.stubEnv("TRACE", "1");
  vi.stubEnv("DISABLE", "matmul");
  const backend = await webgpu();
  expect(Object.keys(backend.overrides)).not.toContain("matmul");
  await readResults(backend, () => [noGrad(() => exp(tensor([1, 2])))]);
  const written: string[] = [];
  vi.spyOn(process.stderr, "write").mockImplementation((text) => written.push(String(text)) > 0);
  backend.dispose();
  const isListed = () => expect(written.join("")).toMatch(/ms +share +count +kernel\n.* 1 {2}exp \[/);
  await vi.waitFor(isListed, { timeout: 20_000 });
});
