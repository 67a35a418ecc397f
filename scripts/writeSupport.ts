import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { cpu } from "@dfine/backend-cpu";
import { webgpu } from "@dfine/backend-webgpu";
import { registeredOps } from "@dfine/tensor/testing";
import { supportTable } from "./support.ts";

const backends = [cpu({ threads: 1 }), await webgpu()];
writeFileSync(join(import.meta.dirname, "../docs/support.md"), supportTable(registeredOps(), backends));
for (const backend of backends) backend.dispose();
