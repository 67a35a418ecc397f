import { globSync, readFileSync } from "node:fs";
import { defineConfig } from "vitest/config";

/** Where tests are. */
const places = "{packages,parity,bench,examples,scripts}";
const nowhere = ["**/node_modules/**", "**/dist/**"];

/** Calls that tell or change what a process has once: storages that the collector frees some time, ops, modules. */
const once = /\b(liveStorages|registeredOps|conformance|vi\.mock)\(/;

/** Tests that have a process of their own: of the whole of it, or of GPUs that it has not looked for yet. */
const alone = [
  ...globSync(`${places}/**/*.test.ts`, { exclude: nowhere }).filter((path) => once.test(readFileSync(path, "utf8"))),
  "examples/own-op/*.test.ts",
  "packages/backend-webgpu/src/{device,swiftshader}/**/*.test.ts",
  "packages/backend-webgpu/src/backend.test.ts",
  "scripts/support.test.ts",
];

/** Tests that take minutes. Vitest starts projects in the order of their names, so these before the many short ones: no core idles in the end. */
const heavy = "**/*.heavy.test.ts";

export default defineConfig({
  // Package names mean their sources, as in tsconfig.json.
  resolve: { tsconfigPaths: true },
  test: {
    testTimeout: 240_000,
    hookTimeout: 300_000,
    maxWorkers: 2,
    // Tests of a project share two processes: modules are loaded and kernels compiled once in each.
    isolate: false,
    projects: [
      { extends: true, test: { name: "alone", include: alone, exclude: nowhere, isolate: true } },
      {
        extends: true,
        test: {
          name: "heavy",
          include: [`${places}/${heavy}`],
          exclude: [...nowhere, ...alone],
          testTimeout: 900_000,
        },
      },
      {
        extends: true,
        test: { name: "unit", include: [`${places}/**/*.test.ts`], exclude: [...nowhere, ...alone, heavy] },
      },
    ],
  },
});
