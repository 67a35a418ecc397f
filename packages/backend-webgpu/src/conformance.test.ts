import { conformance } from "@dfine/tensor/testing";
import { afterAll, describe, it } from "vitest";
import { webgpu } from "./index.ts";
import "../../tensor/test/trials.ts";

const backend = await webgpu();
const folding = await webgpu({ barriers: true });
afterAll(() => {
  for (const each of [backend, folding]) each.dispose();
});

describe.each([
  ["as chosen for the adapter", backend],
  ["with workgroup folds", folding],
] as const)("conformance, %s", (_, tested) => {
  for (const check of conformance(tested)) it(check.name, () => check.run());
});
