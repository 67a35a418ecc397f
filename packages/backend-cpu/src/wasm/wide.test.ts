import { isAscii } from "node:buffer";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { matmul, noGrad, ones, readResults } from "@dfine/tensor";
import { transformSync } from "esbuild";
import { describe, expect, it } from "vitest";
import { cpu } from "../index.ts";
import { isWideFaster, tileKernel } from "../kernels/tileCheck.ts";

/** Two modules whose code a cache of compiled code cannot take for each other's. */
const [kernel, other] = [6, 7].map((size) => {
  const bytes = tileKernel({ relaxed: true, shared: true, wide: true });
  return Buffer.from([...bytes, 0, size, 1, ...new Array<number>(size - 1).fill(0x78)]).toString("base64");
});

// Without types: what strips them in Node is WebAssembly itself.
const source = transformSync(readFileSync(new URL("wide.ts", import.meta.url), "utf8"), { loader: "ts" }).code;

/** What V8 says it did in a process that compiles one module with the flags and then runs another one. */
function compiled({ flags = [], isOtherRun = true }: { flags?: readonly string[]; isOtherRun?: boolean }): string[] {
  const program = `
    ${source}
    compileOptimized(Buffer.from("${kernel}", "base64"), { merge: true });
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    const module = new WebAssembly.Module(Buffer.from("${other}", "base64"));
    const { run } = new WebAssembly.Instance(module, { env: { memory, thread: 0 } }).exports;
    if (${isOtherRun}) run(0, 0, 1);`;
  const trace = ["--trace-wasm-compilation-times", "--trace-wasm-revectorize", ...flags];
  const options = ["--input-type=module", "--no-warnings", ...trace, "-e", program];
  return execFileSync(process.execPath, options, { encoding: "utf8", env: { ...process.env, NODE_OPTIONS: "" } })
    .split("\n")
    .flatMap((line) => /using (\w+)|(Begin revec)/.exec(line)?.slice(1) ?? [])
    .filter((word) => word !== undefined);
}

// Elsewhere no flag is ever set.
describe.runIf(isWideFaster({ relaxed: true }))(
  "flags are set around a module's compilation, and for nothing after it",
  () => {
    const merged = ["Begin revec", "TurboFan"];
    it("the module is merged and optimized at once; others are compiled when they run, quickly and unmerged", () => {
      expect(compiled({ isOtherRun: false })).toEqual(merged);
      expect(compiled({})).toEqual([...merged, "Liftoff"]);
    });
    it("those that the process was started with stay", () => {
      expect(compiled({ flags: ["--no-liftoff"] })).toEqual([...merged, "TurboFan"]);
      expect(compiled({ flags: ["--no-liftoff", "--experimental-wasm-revectorize"] })).toEqual([...merged, ...merged]);
    });
    it("after a kernel the engine's own code is as fast as before", async () => {
      const backend = cpu({ threads: 1 });
      const exponentials = (): number => {
        const begin = performance.now();
        let sum = 0;
        for (let i = 0; i < 3000; i++) sum += Math.exp(i / -3000);
        expect(sum).toBeLessThan(3000);
        return performance.now() - begin;
      };
      const least = async (before: () => unknown): Promise<number> => {
        const times: number[] = [];
        for (let i = 0; i < 30; i++) {
          await before();
          times.push(exponentials());
        }
        return Math.min(...times);
      };
      const product = () => noGrad(() => [matmul(ones([64, 64]), ones([64, 64]))]);
      const usual = await least(() => isAscii(new Uint8Array(256)));
      expect(await least(() => readResults(backend, product))).toBeLessThan(4 * usual);
      backend.dispose();
    });
  },
);
