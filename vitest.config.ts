import { defineConfig } from "vitest/config";

/** Tests that take minutes. Their project's name comes first in the alphabet, so vitest starts them first: no core idles in the end. */
const heavy = "**/*.heavy.test.ts";

/** Tests of plain functions, which leave nothing behind: they share two processes, and so load the modules once. */
const plain = [
  "packages/dfine/src/{checkpoint,config,data,doctor,evaluation,loss,model,onnx}/**/*.test.ts",
  "packages/nn/src/**/*.test.ts",
  "packages/tensor/src/*.test.ts",
  "packages/tensor/src/{autograd,kernel,ops,profile,testing}/**/*.test.ts",
  "packages/backend-cpu/src/{memory,print,wasm}/**/*.test.ts",
  "packages/backend-webgpu/src/{print,kernels/product}/**/*.test.ts",
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
        test: {
          name: "unit",
          include: ["{packages,parity,bench,examples,scripts}/**/*.test.ts"],
          exclude: ["**/node_modules/**", "**/dist/**", heavy, ...plain],
        },
      },
      {
        extends: true,
        test: { name: "plain", include: plain, exclude: ["**/node_modules/**", "**/dist/**", heavy], isolate: false },
      },
      {
        extends: true,
        test: {
          name: "heavy",
          include: [`{packages,parity,bench,examples,scripts}/${heavy}`],
          exclude: ["**/node_modules/**", "**/dist/**"],
          testTimeout: 900_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
