import { cpu } from "@dfine/backend-cpu";
import { referenceBackend } from "@dfine/tensor";
import { conformance, registeredOps } from "@dfine/tensor/testing";
import { afterAll, describe, expect, it } from "vitest";

const core = new Set(registeredOps().map(({ name }) => name));
await import("../src/index.ts");
const own = registeredOps().filter(({ name }) => !core.has(name));

const backend = cpu({ threads: 1 });
afterAll(() => backend.dispose());

it("layers, losses and optimisers have ops of their own, each with calls that it must refuse", () => {
  const names = own.map(({ name }) => name);
  for (const name of ["adamW", "countBatch", "boxIou", "varifocalLoss", "fineGrainedLoss", "samplingLocations"])
    expect(names).toContain(name);
  expect(own.filter((op) => op.refusals().length === 0)).toEqual([]);
});

describe.each([
  ["the reference in float64", referenceBackend({ floatBits: 64 })],
  ["the CPU", backend],
] as const)("ops of layers, losses and optimisers on %s", (_, tested) => {
  const names = new Set(own.map(({ name }) => name));
  for (const check of conformance(tested).filter(({ name }) => names.has(name.split(" ")[0]!)))
    it(check.name, () => check.run());
});
