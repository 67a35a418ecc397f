import { decodeTensor, SafetensorsError, writeSafetensors } from "@dfine/nn";
import { referenceBackend, withBackend } from "@dfine/tensor";
import fc from "fast-check";
import { zipSync } from "fflate";
import { describe, expect, test } from "vitest";
import { freshState, ownFile } from "../../test/checkpoints.ts";
import { mutate, mutations } from "../../test/mutations.ts";
import { tinyModel } from "../../test/tinyModel.ts";
import { call, global, orderedDict, pickle, type Source, TorchFile } from "../../test/torchFile.ts";
import { buildDetector } from "../model/architectures.ts";
import { ModelFileError } from "./errors.ts";
import { writeModelFile } from "./modelFile.ts";
import { openCheckpoint, type RawCheckpoint, readCheckpoint } from "./open.ts";

/** How many mutated files each of two ways gives; together they are more than 20 000 of each format. */
const RUNS = 10_500;

let opened = 0;
let refused = 0;

type Open = (bytes: Uint8Array, options: { readonly file: string }) => Pick<RawCheckpoint, "entries">;

/** Opens a file to its last number. Anything but weights or a typed error with the file's name fails the test. */
function attempt(bytes: Uint8Array, open: Open = readCheckpoint): void {
  try {
    for (const entry of open(bytes, { file: "fuzz" }).entries.values()) {
      expect(entry.bytes.length).toBeLessThanOrEqual(3 * bytes.length);
      expect(decodeTensor(entry).length).toBe(entry.shape.reduce((product, size) => product * size, 1));
    }
    opened++;
  } catch (error) {
    if (!(error instanceof ModelFileError || error instanceof SafetensorsError)) throw error;
    expect(error.message.startsWith("fuzz: ")).toBe(true);
    expect(error.message.length).toBeLessThan(5000);
    refused++;
  }
}

/** Opens `wrap` of changed bytes. Some must be read and some refused, or the mutations test nothing. */
function survivesChanges(bytes: Uint8Array, wrap = (changed: Uint8Array): Uint8Array => changed): void {
  attempt(wrap(bytes));
  [opened, refused] = [0, 0];
  fc.assert(
    fc.property(mutations, (changes) => attempt(wrap(changes.reduce(mutate, bytes)))),
    { numRuns: RUNS },
  );
  expect(opened + refused).toBeGreaterThanOrEqual(RUNS);
  expect(Math.min(opened, refused)).toBeGreaterThan(20);
}

describe(".pth", () => {
  const file = new TorchFile();
  const archived = (data: Uint8Array): Uint8Array => zipSync(file.entries(data), { level: 0 });
  const state = orderedDict([
    ["a.weight", file.float32([2, 3], [1, 2, 3, 4, 5, 6])],
    ["a.bias", file.tensor({ storage: "LongStorage", shape: [], data: BigInt64Array.of(7n) })],
    ["b", file.tensor({ storage: "HalfStorage", shape: [2, 2], strides: [1, 2], data: Uint16Array.of(1, 2, 3, 4) })],
  ]);
  const root = new Map<Source, Source>([
    ["last_epoch", 3],
    ["model", state],
    ["ema", new Map<Source, Source>([["module", state]])],
    ["lr", [1e-4, -(2n ** 70n), call(global("collections", "Counter"))]],
  ]);

  test("survives changed bytes", () => {
    survivesChanges(file.bytes(root));
  });

  test("survives changed pickles in archives that are sound", () => {
    survivesChanges(pickle(root), archived);
  });

  test("survives pickles of random instructions", () => {
    const known = fc.constantFrom(
      ...new TextEncoder().encode("(.0]}tudaesRbcXKJMNhqjrQ)l2"),
      0x80,
      2,
      0x85,
      0x86,
      0x87,
      0x88,
      0x8a,
      0x93,
      0x94,
    );
    fc.assert(
      fc.property(fc.array(known, { maxLength: 60 }), (code) =>
        attempt(archived(Uint8Array.from([0x80, 2, ...code, 0x2e]))),
      ),
      { numRuns: 2000 },
    );
  });

  test("holds no more than a small multiple of a pickle's bytes", () => {
    // A list of half a million empty dictionaries in a megabyte.
    const bomb = new Uint8Array(1_000_000).map((_, i) => (i % 2 ? 0x61 : 0x7d));
    const data = Uint8Array.from([0x80, 2, 0x5d, ...bomb, 0x2e]);
    const before = process.memoryUsage().heapUsed;
    expect(() => readCheckpoint(archived(data))).toThrow(/holds a list, but no weights/);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(100 * bomb.length);
  });
});

describe("safetensors", () => {
  const tensor = (shape: readonly number[], first = 0) => {
    const size = shape.reduce((product, length) => product * length, 1);
    return { dtype: "F32", shape, data: Float32Array.from({ length: size }, (_, i) => first + i) } as const;
  };

  test("of Hugging Face survive changed bytes", () => {
    const attention = "model.decoder.layers.0.self_attn";
    const names = [
      "model.backbone.model.embedder.stem1.convolution.weight",
      ...["q", "k", "v"].map((part) => `${attention}.${part}_proj.weight`),
      "model.enc_score_head.bias",
    ];
    const bytes = writeSafetensors(
      new Map(names.map((name, i) => [name, tensor([2, 2], i)])),
      new Map([["format", "pt"]]),
    );
    survivesChanges(bytes);
  });

  test("of ours survive changed bytes", () => {
    const bytes = writeModelFile(new Map([["w", tensor([3])]]), { preset: "n", model: tinyModel() });
    survivesChanges(bytes);
  });

  test("with changed descriptions make no model that is larger than the file", async () => {
    const tiny = tinyModel();
    const bytes = ownFile(await freshState(tiny), tiny);
    const tinyValues = bytes.length / 4;
    const backend = referenceBackend();
    const text = JSON.stringify(JSON.stringify(tiny)).slice(1, -1);
    const header = new TextDecoder("latin1").decode(bytes.subarray(0, 200_000));
    const start = header.indexOf(text);
    expect(start).toBeGreaterThan(0);
    const digits = [...text].flatMap((character, i) => (/\d/.test(character) ? [start + i] : []));
    const change = fc.record({ place: fc.nat(), digit: fc.integer({ min: 0x30, max: 0x39 }) });
    const open = (source: Uint8Array, options: { file: string }) => {
      const checkpoint = openCheckpoint(source, options);
      using model = withBackend(backend, () => buildDetector(checkpoint.model));
      const values = [...model.stateDict().values()].reduce((sum, { size }) => sum + size, 0);
      expect(values).toBeLessThan(4 * tinyValues);
      return { entries: new Map() };
    };
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        const copy = bytes.slice();
        for (const { place, digit } of changes) copy[digits[place % digits.length]!] = digit;
        attempt(copy, open);
      }),
      { numRuns: 300 },
    );
  });
});

describe("any bytes", () => {
  test("are weights or a typed error", () => {
    const beginnings = [
      "",
      "PK\u0003\u0004",
      "\u0080\u0002",
      "\u0008",
      "<",
      "{",
      "\u0010\u0000\u0000\u0000\u0000\u0000\u0000\u0000{",
    ];
    const bytes = fc
      .tuple(fc.constantFrom(...beginnings), fc.uint8Array({ maxLength: 200 }))
      .map(([text, rest]) => Uint8Array.from([...text].map((character) => character.charCodeAt(0)).concat([...rest])));
    fc.assert(
      fc.property(bytes, (source) => attempt(source)),
      { numRuns: 2000 },
    );
  });
});
