import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { closest, editDistance } from "./closest.ts";

describe("suggestions", () => {
  it("edit distance of known pairs", () => {
    expect(editDistance("kitten", "sitting")).toBe(3);
    expect(editDistance("", "abc")).toBe(3);
    expect(editDistance("same", "same")).toBe(0);
  });

  it("edit distance is symmetric and obeys the triangle inequality", () => {
    const word = fc.string({ maxLength: 8 });
    fc.assert(
      fc.property(word, word, word, (a, b, c) => {
        expect(editDistance(a, b)).toBe(editDistance(b, a));
        expect(editDistance(a, c)).toBeLessThanOrEqual(editDistance(a, b) + editDistance(b, c));
      }),
    );
  });

  it("only near words are offered", () => {
    expect(closest("epoch", ["epochs", "batch"])).toBe("epochs");
    expect(closest("zebra", ["epochs", "batch"])).toBeUndefined();
  });
});
