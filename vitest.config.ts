import { defineConfig } from "vitest/config";

const source = (name: string) => new URL(`./packages/${name}/src/`, import.meta.url).pathname;

export default defineConfig({
  resolve: {
    alias: [
      { find: /^@dfine\/tensor\/testing$/, replacement: `${source("tensor")}testing/index.ts` },
      { find: /^@dfine\/tensor$/, replacement: `${source("tensor")}index.ts` },
      { find: /^@dfine\/nn$/, replacement: `${source("nn")}index.ts` },
      { find: /^@dfine\/backend-cpu$/, replacement: `${source("backend-cpu")}index.ts` },
      { find: /^dfine\/node$/, replacement: `${source("dfine")}node/index.ts` },
      { find: /^dfine$/, replacement: `${source("dfine")}index.ts` },
    ],
  },
  test: {
    include: ["packages/*/{src,test}/**/*.test.ts"],
    testTimeout: 60_000,
  },
});
