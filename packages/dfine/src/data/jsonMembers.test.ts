import fc from "fast-check";
import { expect, test } from "vitest";
import { DatasetError } from "./errors.ts";
import { type JsonMember, jsonMembers } from "./jsonMembers.ts";

async function* pieces(text: string, lengths: readonly number[]) {
  for (let at = 0, i = 0; at < text.length; i++) {
    const next = at + 1 + (lengths[i % Math.max(1, lengths.length)] ?? text.length);
    yield text.slice(at, next);
    at = next;
  }
}

async function collect(text: string, lengths: readonly number[], skip: readonly string[] = []): Promise<JsonMember[]> {
  const all: JsonMember[] = [];
  for await (const member of jsonMembers(pieces(text, lengths), "x.json", { skip })) all.push(member);
  return all;
}

const object = fc.dictionary(fc.string(), fc.oneof(fc.array(fc.jsonValue(), { maxLength: 4 }), fc.jsonValue()));

test("members are those that JSON.parse finds, however the text is cut and set", () =>
  fc.assert(
    fc.asyncProperty(object, fc.array(fc.nat(9)), fc.constantFrom(0, 1, 3), async (value, lengths, indent) => {
      const text = JSON.stringify(value, null, indent);
      const parsed = JSON.parse(text) as Record<string, unknown>;
      const expected = Object.entries(parsed).flatMap(([key, inner]): JsonMember[] =>
        Array.isArray(inner) && inner.length > 0
          ? inner.map((member, index) => ({ key, index, value: member }))
          : [{ key, index: undefined, value: inner }],
      );
      expect(await collect(text, lengths)).toEqual(expected);
      const [skipped] = Object.keys(parsed);
      if (skipped !== undefined)
        expect(await collect(text, lengths, [skipped])).toEqual(expected.filter(({ key }) => key !== skipped));
    }),
  ));

test.each([
  '{"images": [{"id": 1}',
  '{"images": [{"id": 1},]}}'.slice(0, 20),
  '{"a": [1, 2',
  "",
  '{"a": "b',
  "[1]",
  '{"a": [1,,2]}',
  '{"a": [,]}',
])("%s is refused", async (text) => {
  await expect(collect(text, [3])).rejects.toThrow(DatasetError);
});
