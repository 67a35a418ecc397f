import { readSafetensors } from "@dfine/nn";
import pureCrc32 from "crc/calculators/crc32";
import fc from "fast-check";
import { expect, test } from "vitest";
import { says, thrown } from "../test/badInput.ts";
import { readSealed, writeSealed } from "./sealedFile.ts";

const tensors = new Map([["w", { dtype: "F32", shape: [3], data: Float32Array.of(1, 2, 3) } as const]]);
const bytes = writeSealed(tensors, new Map([["format", "x"]]));
const content = (file: ReturnType<typeof readSafetensors>) => ({
  metadata: [...file.metadata].filter(([key]) => key === "format"),
  tensors: [...file.entries].map(([name, { shape, bytes }]) => [name, shape, [...bytes]]),
});

test("is a safetensors file that comes back as it was written", () => {
  expect(content(readSealed(bytes, "x"))).toEqual(content(readSafetensors(bytes)));
});

test("holds the CRC-32 of itself with the digits blank", () => {
  const text = new TextDecoder("latin1").decode(bytes);
  const [, digits] = /"dfine.crc32":"([0-9a-f]{8})"/.exec(text)!;
  const blank = Uint8Array.from(text.replace(digits!, "00000000"), (letter) => letter.charCodeAt(0));
  expect(Number.parseInt(digits!, 16)).toBe(pureCrc32(blank) >>> 0);
});

test("any bit that is another is noticed, or leaves what is read as it was", () => {
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    const flipped = bytes.slice();
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    let found: ReturnType<typeof content> | undefined;
    try {
      found = content(readSealed(flipped, "x"));
    } catch {
      continue;
    }
    expect(found).toEqual(content(readSealed(bytes, "x")));
  }
});

test("says that it is damaged, also where bytes are missing or zeros", () =>
  fc.assert(
    fc.asyncProperty(fc.integer({ min: 100, max: bytes.length - 1 }), fc.boolean(), async (at, cut) => {
      const damaged = cut ? bytes.slice(0, at) : bytes.map((byte, i) => (i === at ? byte ^ 255 : byte));
      says("file-damaged", await thrown(() => readSealed(damaged, "last.safetensors")));
    }),
  ));
