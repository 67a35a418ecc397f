import { defineConfig } from "tsup";
import { library } from "../../scripts/library.ts";

export default defineConfig(
  library(
    { index: "src/index.ts", node: "src/node/index.ts" },
    { inner: { cli: "src/node/cli.ts", batchWorker: "src/node/data/batchWorker.ts" } },
  ),
);
