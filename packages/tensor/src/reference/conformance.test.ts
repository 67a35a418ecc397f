import { describe, it } from "vitest";
import { referenceBackend } from "../index.ts";
import { conformance } from "../testing/index.ts";
import "../../test/trials.ts";

for (const floatBits of [32, 64] as const) {
  describe(`reference float${floatBits}`, () => {
    for (const check of conformance(referenceBackend({ floatBits }))) it(check.name, check.run);
  });
}
