import { describe, expect, test } from "vitest";
import { circles, readSources, violations } from "./dependencyRule.ts";

const check = (path: string, text: string) => violations([{ path: `packages/${path}`, text }]);

describe("dependency rule", () => {
  test("holds in this repository", () => {
    const sources = readSources(".");
    expect(sources.length).toBeGreaterThan(0);
    expect(violations(sources)).toEqual([]);
    expect(circles(sources)).toEqual([]);
  });

  test("refuses circles, of types too", () => {
    const files = {
      a: 'import type { B } from "./b.ts";',
      b: 'export * from "./c.ts";',
      c: 'import "./a.ts";',
      d: 'import "./a.ts";',
    };
    const sources = Object.entries(files).map(([name, text]) => ({ path: `packages/nn/src/${name}.ts`, text }));
    const at = (name: string) => `packages/nn/src/${name}.ts`;
    expect(circles(sources)).toEqual([`circle: ${["a", "b", "c", "a"].map(at).join(" → ")}`]);
  });

  test.each([
    ["tensor/src/a.ts", 'import { z } from "zod";', "may not depend on it"],
    ["tensor/src/a.ts", 'export * from "@dfine/nn";', "may not depend on it"],
    ["nn/src/a.ts", 'const x = await import("@dfine/backend-cpu");', "may not depend on it"],
    ["backend-cpu/src/a.ts", 'import type { Module } from "@dfine/nn";', "may not depend on it"],
    ["dfine/src/node/cli.ts", 'const x = await import("@dfine/backend-cpu");', "may not depend on it"],
    ["dfine/src/device.ts", 'import { cpu } from "@dfine/backend-cpu";', "imported lazily"],
    ["dfine/src/trainer.ts", 'import { readFile } from "node:fs/promises";', "src/node/"],
    ["nn/src/a.ts", 'import { Tensor } from "../../tensor/src/tensor.ts";', "another package"],
    ["elsewhere/src/a.ts", 'import "zod";', "no rule for packages/elsewhere"],
  ])("%s: %s", (path, text, why) => {
    expect(check(path, text)).toEqual([expect.stringContaining(why)]);
  });

  test.each([
    ["nn/src/layers/a.ts", 'import { Tensor } from "@dfine/tensor"; import { b } from "../b.ts";'],
    ["backend-cpu/src/threads/spawn.node.ts", 'import { Worker } from "node:worker_threads";'],
    ["dfine/src/device.ts", 'const load = () => import("@dfine/backend-cpu");'],
    ["dfine/src/node/cli.ts", 'import { Command } from "commander"; import "node:fs"; import "@dfine/nn";'],
    ["tensor/src/a.ts", '// import { z } from "zod";'],
  ])("%s may: %s", (path, text) => {
    expect(check(path, text)).toEqual([]);
  });
});
