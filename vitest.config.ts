import { defineConfig } from "vitest/config";

/** Where tests are. */
const places = "{packages,parity,bench,examples,scripts}";

/** Tests that take minutes. Vitest starts projects in the order of their names, so these before the many short ones: no core idles in the end. */
const heavy = "**/*.heavy.test.ts";

/** Tests of what a process has once: the modules that it loaded, the ops that these registered, the GPUs that it found. */
const alone = [
  "**/conformance.test.ts",
  "examples/own-op/*.test.ts",
  "packages/backend-webgpu/src/{device,swiftshader}/**/*.test.ts",
  "packages/backend-webgpu/src/backend.test.ts",
  "packages/dfine/src/device.test.ts",
  "scripts/support.test.ts",
];

export default defineConfig({
  // Package names mean their sources, as in tsconfig.json.
  resolve: { tsconfigPaths: true },
  test: {
    testTimeout: 240_000,
    hookTimeout: 240_000,
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: { name: "alone", include: alone, exclude: ["**/node_modules/**", "**/dist/**"] },
      },
      {
        // These share two processes, so that modules are loaded and kernels compiled once in each.
        extends: true,
        test: {
          name: "unit",
          include: [`${places}/**/*.test.ts`],
          exclude: ["**/node_modules/**", "**/dist/**", heavy, ...alone],
          isolate: false,
        },
      },
      {
        extends: true,
        test: {
          name: "heavy",
          include: [`${places}/${heavy}`],
          exclude: ["**/node_modules/**", "**/dist/**"],
          testTimeout: 900_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
