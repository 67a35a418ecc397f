import fc from "fast-check";
import { expect, test } from "vitest";
import { describe } from "./describe.ts";

test("small values look like JSON", () => {
  const json = fc.jsonValue({ maxDepth: 2 }).filter((value) => (JSON.stringify(value) ?? "").length < 50);
  fc.assert(
    fc.property(json, (value) => {
      expect(describe(value)).toBe(JSON.stringify(value));
    }),
  );
  expect(describe(undefined)).toBe("nothing");
  expect(describe(Number.NaN)).toBe("NaN");
  expect(describe(3n)).toBe("3");
});

test("large and deep values are short, and are not walked", () => {
  let deep: unknown = 1;
  for (let i = 0; i < 100_000; i++) deep = [deep];
  expect(describe(deep)).toBe("[[[[…]]]]");
  let touched = 0;
  const row = () => {
    touched++;
    return "x".repeat(1000);
  };
  const wide = Array.from({ length: 1000 }, () => Object.defineProperty({}, "key", { enumerable: true, get: row }));
  expect(describe(wide).length).toBeLessThanOrEqual(60);
  expect(touched).toBeLessThanOrEqual(30);
});
