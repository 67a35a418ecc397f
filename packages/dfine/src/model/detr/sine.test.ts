import { referenceBackend, setBackend, tensor } from "@dfine/tensor";
import fc from "fast-check";
import { expect, test } from "vitest";
import { sineFeatures } from "./sine.ts";

test.each([
  [64, 1e-9],
  [32, 2e-6],
] as const)("sines and cosines of turns are JavaScript's, in %s bits", async (floatBits, allowed) => {
  setBackend(referenceBackend({ floatBits }));
  const features = 8;
  const turns = fc.array(fc.double({ min: -3, max: 3, noNaN: true }), { minLength: 1, maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(turns, fc.constantFrom(20, 10000), async (values, temperature) => {
      const x = Float64Array.from(values, floatBits === 32 ? Math.fround : (v) => v);
      const found = await sineFeatures(tensor(x, [x.length]), { features, temperature }).data();
      found.forEach((value, i) => {
        const k = i % features;
        const angle = (2 * Math.PI * x[Math.floor(i / features)]!) / temperature ** ((k - (k % 2)) / features);
        expect(Math.abs(value - (k % 2 === 0 ? Math.sin(angle) : Math.cos(angle)))).toBeLessThan(allowed);
      });
    }),
    { numRuns: 20 },
  );
});
