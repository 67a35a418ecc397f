import fc from "fast-check";
import { expect, it } from "vitest";
import { areApart, type Region } from "./region.ts";

const region = fc
  .record({
    offset: fc.nat(40),
    sizes: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 2, maxLength: 2 }),
    strides: fc.array(fc.integer({ min: -6, max: 9 }), { minLength: 2, maxLength: 2 }),
  })
  .map((own): Region => own);

it("regions that are said to be apart have no element in common", () => {
  const elements = ({ offset, sizes: [n, m], strides: [s, t] }: Region): number[] =>
    Array.from({ length: n! * m! }, (_, i) => offset + Math.floor(i / m!) * s! + (i % m!) * t!);
  fc.assert(
    fc.property(region, region, fc.boolean(), (first, other, isAlike) => {
      const second = isAlike ? { ...other, strides: first.strides } : other;
      const own = new Set(elements(first));
      if (areApart(first, second)) expect(elements(second).some((at) => own.has(at))).toBe(false);
    }),
    { numRuns: 2000 },
  );
});
