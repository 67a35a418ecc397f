import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { build, call, global, persistent, pickle, raw, type Source, tuple } from "../../test/torchFile.ts";
import { type PickleHost, unpickle } from "./pickle.ts";
import { PickleCallable, PickleDict, PickleList, type PickleValue } from "./pickleValues.ts";

const host: PickleHost = {
  fail: (problem) => {
    throw new RangeError(problem);
  },
  global: (module, name) =>
    new PickleCallable(`${module}.${name}`, (args) => new PickleList([`${module}.${name}`, ...args], true)),
  persistent: (id) => new PickleList(["persistent", id], true),
};

/** Values as plain JavaScript, tuples as lists. */
function plain(value: PickleValue): unknown {
  if (value instanceof PickleList) return value.items.map(plain);
  if (value instanceof PickleDict) return new Map([...value.entries()].map(([key, item]) => [key, plain(item)]));
  return value;
}
const read = (bytes: Uint8Array) => plain(unpickle(bytes, host));
const code = (...parts: (string | number)[]): Uint8Array =>
  Uint8Array.from([
    0x80,
    2,
    ...parts.flatMap((part) => (typeof part === "string" ? [...new TextEncoder().encode(part)] : [part])),
    0x2e,
  ]);

const leaf = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.integer(),
  fc.double({ noNaN: true }).map((x) => (Object.is(x, -0) ? 0 : x)),
  fc.string({ unit: "grapheme" }),
  fc.constantFrom("__proto__", "constructor"),
  fc.bigInt({ min: 2n ** 60n, max: 2n ** 100n }).chain((big) => fc.constantFrom(big, -big)),
);
const value = fc.letrec<{ value: Source }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    leaf,
    fc.array(tie("value"), { maxLength: 4 }),
    fc.array(fc.tuple(fc.string(), tie("value")), { maxLength: 4 }).map((pairs) => new Map(pairs)),
  ),
})).value;

describe("pickles", () => {
  test("come back as they were written", () => {
    fc.assert(
      fc.property(value, (source) => {
        expect(read(pickle(source))).toEqual(source);
      }),
    );
  });

  test("tuples, calls, attributes and persistent ids go through the host", () => {
    expect(read(pickle(tuple(1, tuple(), call(global("a.b", "c"), 2))))).toEqual([1, [], ["a.b.c", 2]]);
    expect(read(pickle(persistent(tuple("storage", 3))))).toEqual(["persistent", ["storage", 3]]);
    expect(read(pickle(build(new Map([["a", 1]]), new Map())))).toEqual(new Map([["a", 1]]));
  });

  test("Python's memo and shorter instructions are known", () => {
    // pickletools' spelling: EMPTY_LIST, BINPUT 5, BININT1 7, APPEND, BINGET 5, TUPLE2
    expect(read(code("]q", 5, "K", 7, "ah", 5, 0x86))).toEqual([[7], [7]]);
    // SHORT_BINUNICODE "ab" MEMOIZE, BININT2 258, LONG_BINGET 0, TUPLE3
    expect(read(code(0x8c, 2, "ab", 0x94, "M", 2, 1, "j", 0, 0, 0, 0, 0x87))).toEqual(["ab", 258, "ab"]);
    // MARK "k" 1 DICT, in protocol 4 with a frame
    expect(read(code(0x95, 0, 0, 0, 0, 0, 0, 0, 0, "(", 0x8c, 1, "kK", 1, "d"))).toEqual(new Map([["k", 1]]));
    expect(read(code(0x8c, 1, "m", 0x8c, 1, "n", 0x93, ")R"))).toEqual(["m.n"]);
    expect(read(code(0x8f, "(K", 1, "K", 2, 0x90))).toEqual([1, 2]);
  });
});

describe("hostile pickles", () => {
  const nested = "(".repeat(2000);
  test.each<[string, Uint8Array, RegExp]>([
    ["an unknown instruction", code("i"), /pickle instruction 0x69 at byte 2/],
    ["protocol 0", Uint8Array.from([0x28, 0x64, 0x70, 0x30]), /instruction 0x70/],
    ["a protocol to come", Uint8Array.from([0x80, 9, 0x2e]), /protocol 9/],
    ["an end in a text", Uint8Array.from([0x80, 2, 0x58, 255, 255, 255, 255, 65]), /ends at byte 8, in the middle/],
    ["a text of exabytes", code(0x8d, 0, 0, 0, 0, 0, 0, 0, 0x70), /in the middle of a value/],
    ["no end", Uint8Array.from([0x80, 2, 0x4e]), /in the middle of a value/],
    ["a name without an end", Uint8Array.from([0x80, 2, 0x63, 65, 65]), /in the middle of a value/],
    ["nothing on the stack", code(), /takes a value that it never gave/],
    ["a container that was not begun", code("N", "t"), /ends a container that it never began/],
    ["a value below the mark", code("N(0"), /takes a value that it never gave/],
    ["a memo that was not written", code("h", 3), /refers to value 3/],
    ["items of a list", pickle([raw(0x5d, 0x4e, 0x4e, 0x73)]), /sets items of a list/],
    ["items of a text", code("X", 1, 0, 0, 0, "aNNs"), /sets items of "a"/],
    ["a key without a value", code("}(Nu"), /a key without a value/],
    ["a dictionary as a key", code("}}Ns"), /a dictionary as the key/],
    ["an append to a tuple", code(")Na"), /appends to a tuple/],
    ["a call of a text", code("X", 1, 0, 0, 0, "a)R"), /calls "a"/],
    [
      "arguments that are none",
      pickle(raw(...pickle(global("a", "b")).slice(2, -1), 0x4e, 0x52)),
      /calls a\.b with null/,
    ],
    ["attributes of a list", pickle(build([], new Map())), /sets attributes of a list/],
    ["a name of numbers", code("K", 1, "K", 2, 0x93), /names an object without a name/],
    [
      "a number of thousands of digits",
      code(0x8b, 0, 8, 0, 0, ...new Array<number>(2048).fill(1)),
      /whole number of 2048 bytes/,
    ],
    ["containers within containers without end", code(nested), /nests more than 1000 deep/],
    ["values without end", code("N".repeat(200_000)), /more than 100000 values open/],
    ["copies without end", code("N", "2".repeat(200_000)), /more than 100000 values open/],
  ])("%s", (_, bytes, message) => {
    expect(() => read(bytes)).toThrow(message);
    expect(() => read(bytes)).toThrow(RangeError);
  });

  test("a list that holds itself is read without an end to it", () => {
    const list = unpickle(code("]q", 0, "h", 0, "a"), host) as PickleList;
    expect(list.items[0]).toBe(list);
  });

  test("lists of lists of lists cost no more than their bytes", () => {
    // Each level holds the one before twice: 2 ** 40 leaves, were they to be copied.
    const levels = Array.from({ length: 40 }, (_, i) => [
      "]q",
      i,
      i ? "h" : "N",
      ...(i ? [i - 1] : []),
      "a",
      i ? "h" : "N",
      ...(i ? [i - 1] : []),
      "a",
    ]).flat();
    expect(unpickle(code(...levels), host)).toBeInstanceOf(PickleList);
  });
});
