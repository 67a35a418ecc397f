import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Numbers, NumbersMemo } from "./memo.ts";

const numbers = fc.array(fc.oneof(fc.integer({ min: -3, max: 3 }), fc.array(fc.integer({ min: -1, max: 2 }))), {
  maxLength: 4,
});

describe("NumbersMemo", () => {
  it("finds what was made for the same numbers, and nothing else", () => {
    fc.assert(
      fc.property(fc.array(numbers, { maxLength: 40 }), (keys) => {
        const memo = new NumbersMemo<string>(1000);
        const made = new Map<string, number>();
        const find = (key: Numbers): string =>
          memo.get(structuredClone(key), () => {
            const text = JSON.stringify(key);
            made.set(text, (made.get(text) ?? 0) + 1);
            return text;
          });
        for (const key of [...keys, ...keys]) expect(find(key)).toBe(JSON.stringify(key));
        for (const times of made.values()) expect(times).toBe(1);
      }),
    );
  });

  it("tells sizes apart that 32 bits do not hold", () => {
    const memo = new NumbersMemo<string>(10);
    expect(memo.get([[2 ** 33]], () => "large")).toBe("large");
    expect(memo.get([[2 ** 34]], () => "larger")).toBe("larger");
    expect(memo.get([[0]], () => "none")).toBe("none");
  });

  it("forgets what was made first when it is full", () => {
    const memo = new NumbersMemo<object>(3);
    const find = (n: number): object => memo.get([n], () => ({}));
    const [first, , third] = [1, 2, 3].map(find);
    find(4);
    expect(find(3)).toBe(third);
    expect(find(1)).not.toBe(first);
  });
});
