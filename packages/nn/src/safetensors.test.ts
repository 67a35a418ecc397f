import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { NO_PACK, referenceBytes, referenceJson } from "../../../parity/referencePack.ts";
import {
  decodeFloat32,
  decodeInt32,
  decodeTensor,
  readSafetensors,
  type SafetensorsDtype,
  SafetensorsError,
  type SafetensorsSource,
  writeSafetensors,
} from "./safetensors.ts";

/** Lays out a file by hand, so that files that our writer would refuse can be tried. */
function file(header: string, dataLength = 0, declared = new TextEncoder().encode(header).length): Uint8Array {
  const text = new TextEncoder().encode(header);
  const out = new Uint8Array(8 + text.length + dataLength);
  new DataView(out.buffer).setBigUint64(0, BigInt(declared), true);
  out.set(text, 8);
  return out;
}

const shape = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 });
const makers: Record<SafetensorsDtype, (n: number, seed: number) => SafetensorsSource["data"]> = {
  F64: (n, seed) => Float64Array.from({ length: n }, (_, i) => Math.sin(seed + i)),
  F32: (n, seed) => Float32Array.from({ length: n }, (_, i) => Math.sin(seed + i)),
  F16: (n, seed) => Uint16Array.from({ length: n }, (_, i) => seed * 31 + i),
  BF16: (n, seed) => Uint16Array.from({ length: n }, (_, i) => seed * 17 + i),
  I64: (n, seed) => BigInt64Array.from({ length: n }, (_, i) => BigInt(seed - i) * 0x1_0000_0001n),
  I32: (n, seed) => Int32Array.from({ length: n }, (_, i) => seed * 65537 - i),
  I16: (n, seed) => Int16Array.from({ length: n }, (_, i) => seed - i),
  I8: (n, seed) => Int8Array.from({ length: n }, (_, i) => seed - i),
  U8: (n, seed) => Uint8Array.from({ length: n }, (_, i) => seed + i),
  BOOL: (n) => Uint8Array.from({ length: n }, (_, i) => i % 2),
};
const dtype = fc.constantFrom(...(Object.keys(makers) as SafetensorsDtype[]));
const source = fc.record({ dtype, shape, seed: fc.nat(1000) }).map(({ dtype, shape, seed }): SafetensorsSource => {
  const count = shape.reduce((product, size) => product * size, 1);
  return { dtype, shape, data: makers[dtype](count, seed) };
});
const name = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.constantFrom("__proto__", "constructor", "0", "10", "2", 'quote"\\'),
);
const tensors = fc
  .array(fc.tuple(name, source), { maxLength: 6 })
  .map((pairs) => new Map(pairs.filter(([key]) => key !== "__metadata__")));
const metadata = fc.array(fc.tuple(name, fc.string())).map((pairs) => new Map(pairs));

describe("safetensors", () => {
  test("round trip keeps values, order and metadata, aligned in memory", () => {
    fc.assert(
      fc.property(tensors, metadata, (written, notes) => {
        const bytes = writeSafetensors(written, notes);
        const read = readSafetensors(Buffer.from(bytes));
        expect([...read.metadata]).toEqual([...notes]);
        expect([...read.entries.keys()]).toEqual([...written.keys()]);
        for (const [key, entry] of readSafetensors(bytes).entries) {
          const { dtype, shape, data } = written.get(key)!;
          expect(entry.dtype).toBe(dtype);
          expect(entry.shape).toEqual(shape);
          expect(decodeTensor(entry)).toEqual(data);
          expect(decodeTensor(read.entries.get(key)!)).toEqual(data);
          expect(entry.bytes.byteOffset % data.BYTES_PER_ELEMENT).toBe(0);
        }
      }),
    );
  });

  test("reads the layout of the format's description", () => {
    const bytes = file(
      '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}, "b":{"shape":[],"data_offsets":[4,6],"dtype":"I16"}}  ',
      6,
    );
    bytes.set([0, 0, 0x80, 0x3f, 0xfe, 0xff], bytes.length - 6);
    const { entries } = readSafetensors(bytes);
    expect([...decodeFloat32(entries.get("a")!)]).toEqual([1]);
    expect([...decodeInt32(entries.get("b")!)]).toEqual([-2]);
  });

  test("widens and rounds floats, and narrows integers within range", () => {
    const tensor = (dtype: SafetensorsDtype, data: SafetensorsSource["data"]) =>
      readSafetensors(
        writeSafetensors(new Map([["x", { dtype, shape: [data.length], data }]])),
        "m.safetensors",
      ).entries.get("x")!;
    const values = new Float32Array([1, -0.5, 65504]);
    expect(decodeFloat32(tensor("F16", values))).toEqual(values);
    expect([...decodeFloat32(tensor("BF16", values))]).toEqual([1, -0.5, 65536]);
    expect([...decodeFloat32(tensor("F64", new Float64Array([0.1])))]).toEqual([Math.fround(0.1)]);
    expect([...decodeInt32(tensor("I64", new Int32Array([-4, 2 ** 31 - 1])))]).toEqual([-4, 2 ** 31 - 1]);
    expect([...decodeInt32(tensor("BOOL", new Uint8Array([1, 0])))]).toEqual([1, 0]);
    expect(() => decodeInt32(tensor("I64", new BigInt64Array([2n ** 31n])))).toThrow(/m\.safetensors.*2147483648/);
    expect(() => decodeInt32(tensor("F32", values))).toThrow(SafetensorsError);
    expect(() => decodeFloat32(tensor("I8", new Int8Array(1)))).toThrow(SafetensorsError);
  });

  test("refuses to write what does not fit", () => {
    const write = (name: string, source: SafetensorsSource) => () => writeSafetensors(new Map([[name, source]]));
    expect(write("a", { dtype: "F32", shape: [3], data: new Float32Array(2) })).toThrow(/"a".*\[3\].*2 values/);
    expect(write("a", { dtype: "F32", shape: [-1, -2], data: new Float32Array(2) })).toThrow(SafetensorsError);
    expect(write("a", { dtype: "F32", shape: [2], data: new Float64Array(2) })).toThrow(/Float64Array.*Float32Array/);
    expect(write("__metadata__", { dtype: "U8", shape: [0], data: new Uint8Array() })).toThrow(/reserved/);
  });
});

describe("damaged files", () => {
  const entry = (range: string, shape = "[4]", type = "U8") =>
    `{"dtype":"${type}","shape":${shape},"data_offsets":${range}}`;
  const cases: [string, Uint8Array, RegExp][] = [
    ["nothing", new Uint8Array(0), /0 bytes/],
    ["a header length beyond the file", file("{}", 0, 3), /end at byte 11.*has 10/],
    ["a header length beyond the limit", file("{}", 0, 100_000_001), /limit/],
    ["no brace", file(" {}"), /brace/],
    ["bytes that are not UTF-8", new Uint8Array([2, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0xff]), /UTF-8/],
    ["overlap", file(`{"a":${entry("[0,4]")},"b":${entry("[2,6]")}}`, 6), /"b".*inside another/],
    ["the same range twice", file(`{"a":${entry("[0,4]")},"b":${entry("[0,4]")}}`, 4), /inside another/],
    ["a hole", file(`{"a":${entry("[0,4]")},"b":${entry("[5,9]")}}`, 9), /hole/],
    ["a range beyond the data", file(`{"a":${entry("[0,4]")}}`, 3), /of 3 bytes/],
    ["data without a tensor", file(`{"a":${entry("[0,4]")}}`, 5), /of 5 bytes/],
    ["a range that runs backwards", file(`{"a":${entry("[4,0]")}}`, 4), /needs 4 bytes/],
    ["a size that overflows", file(`{"a":${entry("[0,4]", "[4294967296,4294967296,4294967296]")}}`, 4), /needs/],
    ["a size too long to count", file(`{"a":${entry("[0,4]", "[99999999999999999999]")}}`, 4), /header/],
    ["a negative size", file(`{"a":${entry("[0,4]", "[-4]")}}`, 4), /non-negative/],
    ["a fractional size", file(`{"a":${entry("[0,4]", "[4.0]")}}`, 4), /missing/],
    ["an unknown dtype", file(`{"a":${entry("[0,4]", "[4]", "F8_E4M3")}}`, 4), /F8_E4M3.*BF16/],
    ["an inherited name as dtype", file(`{"a":${entry("[0,4]", "[4]", "constructor")}}`, 4), /constructor/],
    ["a name twice", file(`{"a":${entry("[0,4]")},"a":${entry("[4,8]")}}`, 8), /"a" occurs twice/],
    ["a name twice, once escaped", file(`{"a":${entry("[0,4]")},"\\u0061":${entry("[4,8]")}}`, 8), /twice/],
    ["a field twice", file('{"a":{"dtype":"U8","dtype":"I8","shape":[0],"data_offsets":[0,0]}}'), /twice/],
    ["a missing field", file('{"a":{"dtype":"U8","shape":[0]}}'), /needs dtype, shape/],
    ["three offsets", file(`{"a":${entry("[0,0,0]", "[0]")}}`), /two data_offsets/],
    ["an unknown field", file('{"a":{"type":"U8"}}'), /unknown field "type"/],
    ["metadata that is not text", file('{"__metadata__":{"a":1}}'), /missing/],
    ["an open string", file('{"a'), /no end/],
    ["text after the header", file("{} {}"), /after the closing brace/],
  ];
  test.each(cases)("%s is refused, naming the file", (_what, bytes, message) => {
    expect(() => readSafetensors(bytes, "broken.safetensors")).toThrow(SafetensorsError);
    expect(() => readSafetensors(bytes, "broken.safetensors")).toThrow(message);
    expect(() => readSafetensors(bytes, "broken.safetensors")).toThrow(/^broken\.safetensors: /);
  });

  test("a name that the prototype owns is an ordinary tensor", () => {
    const { entries } = readSafetensors(file(`{"__proto__":${entry("[0,4]")}}`, 4));
    expect([...entries.keys()]).toEqual(["__proto__"]);
    expect(({} as Record<string, unknown>).dtype).toBeUndefined();
  });

  test("long runs of spaces and long strings neither overflow nor hang", () => {
    const blank = " ".repeat(5_000_000);
    expect(readSafetensors(file(`{${blank}}${blank}`)).entries.size).toBe(0);
    const long = "x".repeat(5_000_000);
    expect(readSafetensors(file(`{"__metadata__":{"a":"${long}"}}`)).metadata.get("a")).toBe(long);
    expect(() => readSafetensors(file("{".repeat(1_000_000)))).toThrow(SafetensorsError);
  });

  test("changed, cut and random bytes give a tensor file or SafetensorsError, nothing else", () => {
    const attempt = (bytes: Uint8Array) => {
      try {
        for (const tensor of readSafetensors(bytes).entries.values()) decodeTensor(tensor);
      } catch (error) {
        if (!(error instanceof SafetensorsError)) throw error;
      }
    };
    const edits = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(tensors, edits, fc.nat(20), (written, changes, cut) => {
        const bytes = writeSafetensors(written);
        for (const [position, value] of changes) bytes[position % bytes.length] = value;
        attempt(bytes);
        attempt(bytes.subarray(0, Math.max(0, bytes.length - cut)));
      }),
      { numRuns: 500 },
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), attempt));
    fc.assert(fc.property(fc.string({ maxLength: 200 }), (text) => attempt(file(`{${text}}`))));
  });
});

test("opens the reference pack's checkpoint", (context) => {
  const bytes = referenceBytes("checkpoints/dfine_n_huggingface.safetensors");
  if (!bytes) return context.skip(NO_PACK);
  const { entries } = readSafetensors(bytes);
  const total = [...entries.values()].reduce((sum, entry) => sum + entry.bytes.length, 0);
  expect(total).toBeGreaterThan(3_700_000 * 4);
  for (const entry of entries.values()) expect(decodeTensor(entry).length).toBe(entry.shape.reduce((a, b) => a * b, 1));
});

test("finds the samples that the reference pack's training file lists", (context) => {
  const bytes = referenceBytes("train/n.safetensors");
  const listing = referenceJson<{ num_denoising_queries: number }>("train/n.json");
  if (!bytes || !listing) return context.skip(NO_PACK);
  const { entries } = readSafetensors(bytes);
  const shape = [...decodeInt32(entries.get("dn.0.logits.shape")!)];
  expect(shape).toEqual([2, listing.num_denoising_queries, 80]);
});
