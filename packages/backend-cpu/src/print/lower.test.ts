import { afterAll, describe, expect, it } from "vitest";
import { applyToWords, floats, functionProperties, TINY, wordOf } from "../../../tensor/test/functionProperties.ts";
import { cpu } from "../backend.ts";

const plain = cpu({ threads: 1, relaxedSimd: false });
const fused = cpu({ threads: 1 });
afterAll(() => {
  plain.dispose();
  fused.dispose();
});

describe.each([
  ["plain SIMD", plain],
  ["fused multiply-add", fused],
] as const)("%s", (_, backend) => {
  functionProperties(backend, {
    ulps: { exp: 2, log: 2, tanh: 3, sigmoid: 4, "erf near 0": 2, sqrt: 0.5 },
    erf: 1.2e-7,
    signedZeros: true,
  });

  it("log of subnormals is exact", async () => {
    const xs = floats(1e-45, TINY, 1001);
    const actual = await applyToWords(backend, (x) => x.log(), xs.map(wordOf));
    for (const [i, x] of xs.entries()) expect(Math.abs(actual[i]! - Math.log(x))).toBeLessThan(1e-5);
  });
});
