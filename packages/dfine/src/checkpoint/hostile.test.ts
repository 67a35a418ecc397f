import { readSafetensors, SafetensorsError, writeSafetensors } from "@dfine/nn";
import { zipSync } from "fflate";
import { beforeAll, describe, expect, test } from "vitest";
import { says, thrown } from "../../test/badInput.ts";
import { freshState, huggingFaceState, ownFile, presetModel, type State } from "../../test/checkpoints.ts";
import { tinyModel } from "../../test/tinyModel.ts";
import { call, global, pickle, type Source, TorchFile, torchFile } from "../../test/torchFile.ts";
import { tensorSource } from "../tensorFile.ts";
import { ModelFileError } from "./errors.ts";
import { openCheckpoint } from "./open.ts";

const text = (value: string) => new TextEncoder().encode(value);
const map = (pairs: Record<string, Source>) => new Map<Source, Source>(Object.entries(pairs));
const state = (file: TorchFile) => map({ w: file.float32([1]) });
const evil = (module: string, name: string) => torchFile(() => map({ model: call(global(module, name), "echo gone") }));
const tensor = (source: Parameters<TorchFile["tensor"]>[0]) => torchFile((file) => map({ w: file.tensor(source) }));
const four = Float32Array.of(1, 2, 3, 4);

/** A small archive with other entries than torch.save writes. */
function archive(change: Record<string, Uint8Array | undefined>): Uint8Array {
  const file = new TorchFile();
  const entries = Object.entries({ ...file.entries(pickle(state(file))), ...change });
  const kept = entries.filter((entry): entry is [string, Uint8Array] => entry[1] !== undefined);
  return zipSync(Object.fromEntries(kept), { level: 0 });
}

/** A small archive with its pickle given in instructions. */
const instructions = (...code: (number | string)[]) =>
  archive({
    "archive/data.pkl": Uint8Array.from([
      ...[0x80, 2],
      ...code.flatMap((part) => (typeof part === "number" ? [part] : [...text(part)])),
      0x2e,
    ]),
  });

/** A safetensors file with a header of one's own. */
function safetensors(header: string, dataLength = 0, declared = header.length): Uint8Array {
  const out = new Uint8Array(8 + header.length + dataLength);
  new DataView(out.buffer).setBigUint64(0, BigInt(declared), true);
  out.set(text(header), 8);
  return out;
}
const entry = (range: string, shape = "[4]", dtype = "U8") =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":${range}}`;

let n: State;
beforeAll(async () => {
  n = await freshState(presetModel("n", ["a", "b"]));
}, 60_000);
const official = (change: (state: State) => void): Uint8Array => {
  const copy = new Map(n);
  change(copy);
  return writeSafetensors(new Map([...copy].map(([name, value]) => [name, tensorSource(value)])));
};

function overlapping(): Uint8Array {
  const bytes = archive({});
  const view = new DataView(bytes.buffer);
  const directory = [...bytes.keys()].filter((at) => at + 4 <= bytes.length && view.getUint32(at, true) === 0x02014b50);
  view.setUint32(directory[1]! + 42, view.getUint32(directory[0]! + 42, true), true);
  return bytes;
}

const FILES: Readonly<Record<string, () => Uint8Array>> = {
  "weights-empty": () => new Uint8Array(),
  "weights-unknown": () => new Uint8Array(600),
  "weights-web-page": () => text("<!DOCTYPE html><title>Not found</title>"),
  "weights-lfs-pointer": () => text("version https://git-lfs.github.com/spec/v1\noid sha256:1"),
  "weights-json": () => text('{"model_type": "d_fine"}'),
  "weights-gzip": () => Uint8Array.from([0x1f, 0x8b, 8]),
  "weights-onnx": () => Uint8Array.from([8, 8, 0x12, 7, ...text("pytorch"), 0]),
  "weights-old-pickle": () => Uint8Array.from([0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9]),
  "weights-old-tar": () => Uint8Array.from([...new Uint8Array(257), ...text("ustar"), ...new Uint8Array(300)]),
  "weights-other-model": () => writeSafetensors(new Map([["w", { dtype: "F32", shape: [4], data: four }]])),
  "weights-other-shape": () =>
    official((all) =>
      all.set("encoder.input_proj.1.conv.weight", { shape: [128, 3, 1, 1], data: new Float32Array(384) }),
    ),
  "weights-no-heads": () => official((all) => all.delete("decoder.enc_score_head.bias")),
  "weights-half-projection": () => {
    const all = huggingFaceState(n);
    all.delete("model.decoder.layers.1.self_attn.k_proj.bias");
    return writeSafetensors(all);
  },
  "pth-truncated": () => archive({}).subarray(0, 200),
  "pth-changed": () => {
    const bytes = tensor({ shape: [4], data: four });
    bytes[bytes.findIndex((byte, at) => byte === 0x40 && bytes[at + 1] === 0x40)]! ^= 1;
    return bytes;
  },
  "pth-zip-bomb": () => zipSync({ "archive/data.pkl": new Uint8Array(20_000_000) }, { level: 9 }),
  "pth-overlapping-entries": overlapping,
  "pth-other-zip": () => zipSync({ "photos/a.jpg": text("x") }, { level: 0 }),
  "pth-torchscript": () => archive({ "archive/code/__torch__.py": text("x") }),
  "pth-big-endian": () => archive({ "archive/byteorder": text("big") }),
  "pth-large-pickle": () => archive({ "archive/data.pkl": new Uint8Array(16_000_001) }),
  "pth-global": () => evil("os", "system"),
  "pth-global-builtin": () => evil("builtins", "eval"),
  "pth-global-argparse": () => evil("argparse", "Namespace"),
  "pth-global-prototype": () => evil("__proto__", "constructor"),
  "pth-instruction": () => instructions("i"),
  "pth-pickle-end": () => archive({ "archive/data.pkl": Uint8Array.from([0x80, 2, 0x58, 255, 255, 255, 255]) }),
  "pth-nesting": () => instructions("(".repeat(2000)),
  "pth-recursion": () => instructions("}q", 0, "X", 5, 0, 0, 0, "modelh", 0, "s"),
  "pth-stack": () => instructions("N", "2".repeat(200_000)),
  "pth-huge-number": () => instructions(0x8b, 0, 8, 0, 0, ...new Array<number>(2048).fill(1)),
  "pth-storage-missing": () => archive({ "archive/data/0": undefined }),
  "pth-storage-size": () => tensor({ shape: [4], data: four, count: 5 }),
  "pth-storage-types": () =>
    torchFile((file) =>
      map({
        a: file.tensor({ shape: [4], data: four, key: "k" }),
        b: file.tensor({ storage: "IntStorage", shape: [4], data: four, key: "k" }),
      }),
    ),
  "pth-tensor-beyond": () => tensor({ shape: [5], data: four }),
  "pth-tensor-oversized": () => tensor({ shape: [2 ** 30, 2 ** 30], data: four, strides: [0, 0] }),
  "pth-tensor-strides": () => tensor({ shape: [2], data: four, strides: [-1] }),
  "pth-tensors-overlap": () =>
    torchFile((file) =>
      map({
        a: file.tensor({ shape: [3], data: four, key: "k" }),
        b: file.tensor({ shape: [3], data: four, key: "k", offset: 1 }),
      }),
    ),
  "pth-no-weights": () => torchFile(() => map({ optimizer: map({}), epoch: 3 })),
  "pth-no-tensor": () => torchFile((file) => map({ model: map({ w: file.float32([1]), n: "text" }) })),
  "safetensors-truncated": () => safetensors(`{"a":${entry("[0,4]")}}`, 3),
  "safetensors-header-length": () => safetensors("{}", 0, 3),
  "safetensors-header-limit": () => safetensors("{}", 0, 100_000_001),
  "safetensors-overlap": () => safetensors(`{"a":${entry("[0,4]")},"b":${entry("[2,6]")}}`, 6),
  "safetensors-hole": () => safetensors(`{"a":${entry("[0,4]")},"b":${entry("[5,9]")}}`, 9),
  "safetensors-size": () => safetensors(`{"a":${entry("[0,4]", "[4294967296,4294967296]")}}`, 4),
  "safetensors-dtype": () => safetensors(`{"a":${entry("[0,4]", "[4]", "F8_E4M3")}}`, 4),
  "safetensors-name-twice": () => safetensors(`{"a":${entry("[0,4]")},"a":${entry("[4,8]")}}`, 8),
  "safetensors-prototype": () => safetensors(`{"__proto__":${entry("[0,4]")}}`, 4),
};

describe("what is said of files that are no weights, damaged or made to harm", () => {
  test.each(Object.entries(FILES))("%s", async (id, make) => {
    const error = await thrown(() => openCheckpoint(make(), { file: "x" }));
    says(id, error);
    expect(error instanceof ModelFileError || error instanceof SafetensorsError).toBe(true);
    expect(error.message).toMatch(/^x: /);
  });

  test.each([
    ...[
      ["posix", "system"],
      ["__builtin__", "getattr"],
      ["subprocess", "Popen"],
      ["torch", "load"],
      ["torch.hub", "load"],
    ],
    ...[
      ["torch", "constructor"],
      ["numpy.core.multiarray", "scalar"],
      ["builtins", "exec"],
      ["importlib", "import_module"],
    ],
  ] as [string, string][])("%s.%s is not on the list", async (module, name) => {
    const error = await thrown(() => openCheckpoint(evil(module, name)));
    expect(error.message).toContain(`asks for ${module}.${name}, which weights never need`);
  });

  test("a name of a million letters is not repeated", async () => {
    expect((await thrown(() => openCheckpoint(evil("a".repeat(1_000_000), "b")))).message.length).toBeLessThan(600);
  });

  test("a description that is larger than its file", async () => {
    const tiny = tinyModel();
    const wide = structuredClone(tiny);
    wide.decoder.hiddenDim = 1 << 20;
    const bytes = ownFile(await freshState(tiny), wide);
    says("weights-description", await thrown(() => openCheckpoint(bytes, { file: "x" })));
  });

  test("names of JavaScript's own objects do nothing to them", () => {
    const names = ["__proto__", "constructor", "toString"];
    const all = new Map(names.map((name) => [name, { dtype: "F32", shape: [4], data: four } as const]));
    expect([...readSafetensors(writeSafetensors(all)).entries.keys()]).toEqual(names);
    expect(() => openCheckpoint(torchFile((file) => new Map(names.map((name) => [name, file.float32([1])]))))).toThrow(
      ModelFileError,
    );
    expect(({} as Record<string, unknown>).shape).toBeUndefined();
  });
});
