import fc from "fast-check";

/** What a mutation does to the bytes at a place. */
const mutation = fc.record({
  kind: fc.constantFrom("set", "flip", "word", "insert", "remove", "copy", "cut"),
  at: fc.nat(),
  from: fc.nat(),
  value: fc.nat(255),
  word: fc.constantFrom(0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 0x10000),
  length: fc.nat(24),
});
/** One to four changes, for `mutate` to make one after the other. */
export const mutations = fc.array(mutation, { minLength: 1, maxLength: 4 });
export type Mutation = typeof mutation extends fc.Arbitrary<infer T> ? T : never;

/** The bytes with one change. */
export function mutate(bytes: Uint8Array, change: Mutation): Uint8Array {
  if (bytes.length === 0) return bytes;
  const at = change.at % bytes.length;
  const from = change.from % bytes.length;
  const out = Array.from(bytes);
  const word = [0, 8, 16, 24].map((shift) => (change.word >>> shift) & 255);
  switch (change.kind) {
    case "set":
      out[at] = change.value;
      break;
    case "flip":
      out[at]! ^= 1 << (change.value & 7);
      break;
    case "word":
      out.splice(at, 4, ...word);
      break;
    case "insert":
      out.splice(at, 0, ...out.slice(from, from + change.length));
      break;
    case "remove":
      out.splice(at, change.length);
      break;
    case "copy":
      out.splice(at, change.length, ...out.slice(from, from + change.length));
      break;
    case "cut":
      out.length = at;
      break;
    default:
      change.kind satisfies never;
  }
  return Uint8Array.from(out);
}

/** What hostile texts are made of. */
const TOKENS = [
  ...["__proto__", "constructor", "toString", "null", "NaN", "1e999", "-1", "9007199254740993", "2147483648"],
  ...[
    '""',
    "\u0000",
    "\ufeff",
    "\ud800",
    "{}",
    "[]",
    "[[[[[[[[",
    "{{{{{{",
    "]]]]",
    "}}}}",
    "&a",
    "*a",
    "!!x ",
    "? ",
    "- ",
    "# ",
  ],
  ...["<<: *a\n", "\n", ": ", ",", "|\n", "%TAG", "--- ", "x".repeat(300)],
];

/** A text with changed bytes, and now and then a token in it that parsers and objects take for something special. */
export const mutatedTexts = (texts: readonly string[]): fc.Arbitrary<string> =>
  fc
    .record({
      text: fc.constantFrom(...texts),
      changes: fc.array(mutation, { maxLength: 3 }),
      tokens: fc.array(fc.record({ token: fc.constantFrom(...TOKENS), at: fc.nat(), length: fc.nat(8) }), {
        maxLength: 2,
      }),
    })
    .map(({ text, changes, tokens }) => {
      const bytes = changes.reduce(mutate, new TextEncoder().encode(text));
      return tokens.reduce((out, { token, at, length }) => {
        const start = out.length === 0 ? 0 : at % out.length;
        return out.slice(0, start) + token + out.slice(start + length);
      }, new TextDecoder().decode(bytes));
    });
