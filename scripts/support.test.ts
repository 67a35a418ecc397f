import { readFileSync } from "node:fs";
import { cpu } from "@dfine/backend-cpu";
import { webgpu } from "@dfine/backend-webgpu";
import { registeredOps } from "@dfine/tensor/testing";
import { expect, test } from "vitest";
import { supportTable } from "./support.ts";

test("docs/support.md is what the backends bring; `npm run support` writes it", async () => {
  const backends = [cpu({ threads: 1 }), await webgpu()];
  try {
    expect(readFileSync("docs/support.md", "utf8")).toBe(supportTable(registeredOps(), backends));
  } finally {
    for (const backend of backends) backend.dispose();
  }
});
