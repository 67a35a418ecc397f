import { describe, expect, test } from "vitest";
import { readYaml, YamlError } from "./yaml.ts";

test("values and their lines", () => {
  const { value, lineOf } = readYaml("a: 1\nb:\n  c: [x, 2e-3]\n  d: null\n");
  expect(value).toEqual({ a: 1, b: { c: ["x", 2e-3], d: null } });
  expect([lineOf(["a"]), lineOf(["b", "c", 1]), lineOf(["b", "nothing"]), lineOf(["z"])]).toEqual([1, 3, 3, 1]);
  expect(readYaml("").value).toBeNull();
  expect(readYaml("base: &x { c: 1 }\nother: *x\n").value).toEqual({ base: { c: 1 }, other: { c: 1 } });
});

describe("refused with line and reason, in little time", () => {
  const bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"];
  for (let i = 1; i < 9; i++)
    bomb.push(
      `a${i}: &a${i} [${Array(9)
        .fill(`*a${i - 1}`)
        .join(", ")}]`,
    );
  const keys = Array.from({ length: 40_000 }, (_, i) => `k${i}: 1`).join("\n");
  test.each([
    ["syntax", "a: 1\nb: [1\n", /^line 3: Flow sequence/],
    ["a key twice", "a: 1\nb: { c: 1, c: 2 }\n", /^line 2: the key c is there twice/],
    ["a key twice among many", `${keys}\nk7: 2`, /^line 40001: the key k7 is there twice/],
    ["a list as key", "a: 1\n? [x]\n: 2\n", /^line 2: a list or mapping stands as a key/],
    ["an alias as key", "a: &a x\n*a : 2\n", /^line 2: an alias stands as a key/],
    ["an alias of nothing", "a: *b\n", /Unresolved alias.*: b/],
    ["aliases that multiply", bomb.join("\n"), /Excessive alias count/],
    ["open brackets", "[".repeat(100_000), /nested|line 1/],
    ["nested lists", `a: ${"[".repeat(50_000)}${"]".repeat(50_000)}`, /nested|line 1/],
    ["nested keys", `${"? ".repeat(600)}x`, /stands as a key/],
    ["many tags", "!!x ".repeat(30_000), /^line 1: .*at most one tag/],
    ["megabytes", "#\n".repeat(600_000), /1200000 characters are more than the 1000000/],
  ])("%s", (_, text, message) => {
    const start = performance.now();
    let error: unknown;
    try {
      readYaml(text);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(YamlError);
    expect((error as YamlError).message).toMatch(message);
    expect(performance.now() - start).toBeLessThan(20_000);
  });
});

test("prototypes stay clean", () => {
  const { value } = readYaml("__proto__: { polluted: 1 }\nconstructor: { prototype: { polluted: 1 } }\n");
  expect(Object.hasOwn(value as object, "__proto__")).toBe(true);
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
});
