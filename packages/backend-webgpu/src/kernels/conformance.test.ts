import { conformance } from "@dfine/tensor/testing";
import { afterAll, describe, it } from "vitest";
import { bothKinds } from "../../test/opKit.ts";

const kinds = await bothKinds();
afterAll(() => {
  for (const [, backend] of kinds) backend.dispose();
});

/** Ops whose kernels differ between software and GPUs; what this adapter gets by itself, src/conformance.heavy.test.ts tests. */
const OPS = [
  "conv2dAct",
  "maxPool2d",
  "maxPool2dGrad",
  "indexSelect",
  "indexAdd",
  "topK",
  "deformableSample",
  "deformableSampleGrad",
];

describe.each(kinds.filter(([kind]) => kind === "for GPUs"))(
  "conformance of hand-written kernels, %s",
  (_, backend) => {
    const checks = conformance(backend).filter(({ name }) => OPS.includes(name.split(" ")[0]!));
    for (const check of checks) it(check.name, () => check.run());
  },
);
