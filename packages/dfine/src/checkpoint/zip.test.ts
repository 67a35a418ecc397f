import { crc32 as zlibCrc32 } from "node:zlib";
import fc from "fast-check";
import { zipSync } from "fflate";
import { describe, expect, test } from "vitest";
import { ModelFileError } from "./errors.ts";
import { openZip } from "./zip.ts";

const text = (value: string) => new TextEncoder().encode(value);
const stored = zipSync({ "a/one": text("1"), "a/two": text("twotwo"), "a/none": new Uint8Array() }, { level: 0 });
const contents = (bytes: Uint8Array): Record<string, string> => {
  const archive = openZip(bytes, "x.pth");
  for (const entry of archive.entries.values()) archive.verify(entry);
  return Object.fromEntries(
    [...archive.entries].map(([name, entry]) => [name, new TextDecoder().decode(archive.view(entry))]),
  );
};

const END = 22;
const CENTRAL_SIGNATURE = [0x50, 0x4b, 1, 2];

/** Where the entries of the directory begin. */
function directory(bytes: Uint8Array): number[] {
  return [...bytes.keys()].filter((at) => CENTRAL_SIGNATURE.every((byte, i) => bytes[at + i] === byte));
}

/** A copy with some of its bytes changed through a view of them. */
function changed(change: (view: DataView, bytes: Uint8Array) => void): Uint8Array {
  const bytes = stored.slice();
  change(new DataView(bytes.buffer), bytes);
  return bytes;
}

/** The same archive with its numbers in 64-bit records, as archives beyond 4 GB have them. */
function wide(count: bigint = 3n): Uint8Array {
  const view = new DataView(stored.buffer, stored.byteOffset);
  const end = stored.length - END;
  const [size, start] = [view.getUint32(end + 12, true), view.getUint32(end + 16, true)];
  const record = new DataView(new ArrayBuffer(56 + 20));
  record.setUint32(0, 0x06064b50, true);
  record.setBigUint64(4, 44n, true);
  record.setBigUint64(32, count, true);
  record.setBigUint64(40, BigInt(size), true);
  record.setBigUint64(48, BigInt(start), true);
  record.setUint32(56, 0x07064b50, true);
  record.setBigUint64(64, BigInt(end), true);
  const tail = stored.slice(end);
  tail.fill(0xff, 8, 20);
  return Uint8Array.from([...stored.slice(0, end), ...new Uint8Array(record.buffer), ...tail]);
}

describe("archives that are read", () => {
  const expected = { "a/one": "1", "a/two": "twotwo", "a/none": "" };

  test("stored entries are views of the file", () => {
    expect(contents(stored)).toEqual(expected);
    const archive = openZip(Buffer.from(stored), "x.pth");
    const view = archive.view(archive.entries.get("a/two")!);
    expect(view.buffer.byteLength).toBeGreaterThanOrEqual(stored.length);
    expect(view.constructor).toBe(Uint8Array);
  });

  test("any bytes have the checksum that another program gave them", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const archive = openZip(zipSync({ a: bytes }, { level: 0 }), "x.pth");
        const entry = archive.entries.get("a")!;
        expect(entry.crc32).toBe(zlibCrc32(bytes));
        archive.verify(entry);
        expect(archive.view(entry)).toEqual(bytes);
      }),
    );
  });

  test("a comment at the end, and 64-bit records, change nothing", () => {
    const comment = text("made by hand");
    const commented = Uint8Array.from([...stored, ...comment]);
    new DataView(commented.buffer).setUint16(stored.length - 2, comment.length, true);
    expect(contents(commented)).toEqual(expected);
    expect(contents(wide())).toEqual(expected);
  });
});

describe("archives that are refused, with their name", () => {
  test.each<[string, Uint8Array, RegExp]>([
    [
      "compressed entries",
      zipSync({ "a/zeros": new Uint8Array(10_000) }),
      /a\/zeros is compressed \(\d+ bytes for 10000\); torch.save/,
    ],
    [
      "a zip bomb",
      zipSync({ "a/data.pkl": new Uint8Array(20_000_000) }, { level: 9 }),
      /compressed \(\d+ bytes for 20000000\)/,
    ],
    [
      "a size that the file does not have",
      changed((view, bytes) => {
        for (const offset of [20, 24]) view.setUint32(directory(bytes)[1]! + offset, 0x7fffffff, true);
      }),
      /a\/two of 2147483647 bytes reaches beyond the \d+ bytes of the file/,
    ],
    [
      "entries that overlap",
      changed((view, bytes) => {
        const [, two, none] = directory(bytes);
        view.setUint32(none! + 42, view.getUint32(two! + 42, true), true);
        for (const offset of [20, 24]) view.setUint32(none! + offset, 6, true);
      }),
      /entries a\/\w+ and a\/\w+ overlap/,
    ],
    [
      "a name twice",
      changed((_, bytes) => {
        bytes.set(text("one"), directory(bytes)[1]! + 46 + "a/".length);
      }),
      /a\/one twice/,
    ],
    [
      "encrypted entries",
      changed((view, bytes) => view.setUint16(directory(bytes)[0]! + 8, 1, true)),
      /a\/one is encrypted/,
    ],
    [
      "an entry that is not where it should be",
      changed((view, bytes) => view.setUint32(directory(bytes)[0]! + 42, 3, true)),
      /a\/one does not lie where its directory says/,
    ],
    [
      "a directory beyond the file",
      changed((view) => view.setUint32(stored.length - 6, 0x7ffffff0, true)),
      /directory of 3 entries should be bytes 2147483632/,
    ],
    [
      "more entries than there is room for",
      changed((view) => view.setUint16(stored.length - END + 10, 60_000, true)),
      /directory of 60000 entries/,
    ],
    [
      "a directory that is none",
      changed((_, bytes) => bytes.fill(0, directory(bytes)[1]!, directory(bytes)[1]! + 4)),
      /entry 1 of its directory is not one/,
    ],
    [
      "an entry that is longer than the directory",
      changed((view, bytes) => view.setUint16(directory(bytes)[2]! + 30, 9999, true)),
      /entry 2 reaches beyond its directory/,
    ],
    [
      "64-bit numbers that are missing",
      changed((view, bytes) => view.setUint32(directory(bytes)[0]! + 24, 0xffffffff, true)),
      /lacks a 64-bit size/,
    ],
    [
      "a 64-bit list that is missing",
      changed((view) => view.setUint32(stored.length - 6, 0xffffffff, true)),
      /lacks the 64-bit list/,
    ],
    ["a count of entries beyond any file", wide(2n ** 60n), /beyond any file/],
  ])("%s", (_, bytes, message) => {
    expect(() => contents(bytes)).toThrow(message);
    expect(() => contents(bytes)).toThrow(ModelFileError);
    expect(() => contents(bytes)).toThrow(/^x\.pth: /);
  });

  test("a file that was cut anywhere", () => {
    for (let length = 0; length < stored.length; length++)
      expect(() => contents(stored.subarray(0, length))).toThrow(/no list of its entries at its end; .*fetch it again/);
  });

  test("a changed byte in an entry is told by its checksum", () => {
    const archive = openZip(stored, "x.pth");
    const entry = archive.entries.get("a/two")!;
    const bytes = stored.slice();
    bytes[entry.start + 2]! ^= 1;
    expect(() => contents(bytes)).toThrow(/the bytes of a\/two do not have their checksum/);
  });
});
