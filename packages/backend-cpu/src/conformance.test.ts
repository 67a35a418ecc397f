import { bitEquality, conformance } from "@dfine/tensor/testing";
import { afterAll, describe, it } from "vitest";
import { cpu } from "./index.ts";
import "../../tensor/test/trials.ts";

const plain = cpu({ threads: 1, relaxedSimd: false, wide: false });
const fused = cpu({ threads: 1, wide: false });
const two = cpu({ threads: 2 });
afterAll(() => {
  for (const backend of [plain, fused, two]) backend.dispose();
});

describe.each([
  ["plain SIMD", plain],
  ["fused multiply-add", fused],
  // Wide, and so merged by the optimizing compiler alone, where the machine can do that.
  [two.details, two],
] as const)("conformance, %s", (_, backend) => {
  for (const check of conformance(backend)) it(check.name, () => check.run());
});

// What the second does depends on the machine: the kernels' own tests run the wide tile everywhere.
describe(`${fused.details} and ${two.details} give the same bits`, () => {
  for (const check of bitEquality(fused, two)) it(check.name, () => check.run());
});
