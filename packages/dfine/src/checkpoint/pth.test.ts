import { decodeTensor, type SafetensorsEntry } from "@dfine/nn";
import { describe, expect, test } from "vitest";
import {
  build,
  call,
  global,
  orderedDict,
  raw,
  type Source,
  type TorchFile,
  torchFile,
  tuple,
} from "../../test/torchFile.ts";
import { ModelFileError } from "./errors.ts";
import { readPth } from "./pth.ts";

const read = (bytes: Uint8Array, ema?: boolean) => readPth(bytes, { file: "x.pth", ema });
const values = (entries: ReadonlyMap<string, SafetensorsEntry>) =>
  Object.fromEntries([...entries].map(([name, entry]) => [name, [...decodeTensor(entry)]]));
const map = (pairs: Record<string, Source>) => new Map<Source, Source>(Object.entries(pairs));

describe("layouts", () => {
  const trainer = torchFile((file) =>
    map({
      date: "2026-01-02",
      last_epoch: 4,
      model: orderedDict([["w", file.float32([2], [1, 2])]]),
      ema: map({ module: orderedDict([["w", file.float32([2], [3, 4])]]), updates: 50 }),
      // Counters, sets and numbers are in every trainer's state.
      lr_scheduler: map({
        milestones: call(global("collections", "Counter"), new Map([[500, 1]])),
        seen: call(global("__builtin__", "set"), [1]),
      }),
      optimizer: map({
        state: new Map([[0, map({ step: file.float32([]), exp_avg: file.float32([2]) })]]),
        param_groups: [map({ betas: tuple(0.9, 0.999), lr: 1e-4 })],
      }),
      raw: call(global("_codecs", "encode"), "bytes", "latin1"),
      // As Python writes a new object without arguments, and then its attributes.
      args: build(
        raw(...new TextEncoder().encode("cargparse\nNamespace\n)"), 0x81),
        map({ lr: 1e-4, output_dir: "out" }),
      ),
    }),
  );

  test("a trainer's: the average first, the others on demand", () => {
    const averaged = read(trainer);
    expect(values(averaged.entries)).toEqual({ w: [3, 4] });
    expect(averaged).toMatchObject({ chosen: "ema", sets: ["ema", "model"] });
    expect(averaged.training).toEqual({
      parts: ["date", "last_epoch", "model", "ema", "lr_scheduler", "optimizer", "raw", "args"],
      ...{ lastEpoch: 4, date: "2026-01-02", emaUpdates: 50 },
    });
    expect(values(read(trainer, true).entries)).toEqual({ w: [3, 4] });
    expect(values(read(trainer, false).entries)).toEqual({ w: [1, 2] });
  });

  test.each<[string, (state: Source) => Source, string, boolean | undefined, RegExp]>([
    [
      "{model}",
      (state) => map({ model: state }),
      "model",
      true,
      /holds the weights of training only, no averaged ones/,
    ],
    [
      "{ema}",
      (state) => map({ ema: map({ module: state }) }),
      "ema",
      false,
      /holds averaged weights only, not those before averaging; leave --no-ema/,
    ],
    ["an average without a module", (state) => map({ ema: state }), "ema", false, /averaged weights only/],
    ["a state dict", (state) => state, "only", false, /holds one set of weights, not those before/],
  ])("%s, and weights that are not there are missed", (_, wrap, chosen, other, message) => {
    const bytes = torchFile((file) => wrap(orderedDict([["w", file.float32([1], [7])]])));
    expect(values(read(bytes).entries)).toEqual({ w: [7] });
    expect(read(bytes).chosen).toBe(chosen);
    expect(() => read(bytes, other)).toThrow(message);
  });

  test("parameters are tensors, whoever wrapped them", () => {
    const bytes = torchFile((file) =>
      map({ w: call(global("torch._utils", "_rebuild_parameter"), file.float32([1], [5]), true, map({})) }),
    );
    expect(values(read(bytes).entries)).toEqual({ w: [5] });
  });
});

describe("tensors", () => {
  test.each<[string, string, SafetensorsEntry["dtype"], ArrayBufferView & ArrayLike<number | bigint>]>([
    ["f64", "DoubleStorage", "F64", Float64Array.of(1 / 3, -2)],
    ["f32", "FloatStorage", "F32", Float32Array.of(0.1, -2)],
    ["f16", "HalfStorage", "F16", Uint16Array.of(0x3c00, 0xfbff)],
    ["bf16", "BFloat16Storage", "BF16", Uint16Array.of(0x3f80, 1)],
    ["i64", "LongStorage", "I64", BigInt64Array.of(-5n, 2n ** 40n)],
    ["i32", "IntStorage", "I32", Int32Array.of(-5, 7)],
    ["i16", "ShortStorage", "I16", Int16Array.of(-5, 7)],
    ["i8", "CharStorage", "I8", Int8Array.of(-5, 7)],
    ["u8", "ByteStorage", "U8", Uint8Array.of(255, 0)],
    ["bool", "BoolStorage", "BOOL", Uint8Array.of(1, 0)],
  ])("of %s", (_, storage, dtype, data) => {
    const { entries } = read(torchFile((file) => map({ w: file.tensor({ storage, shape: [2], data }) })));
    expect(entries.get("w")).toMatchObject({ dtype, shape: [2] });
    expect(decodeTensor(entries.get("w")!)).toEqual(data);
  });

  const numbers = { shape: [2, 3], data: Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7) };
  test.each([
    ["contiguous with an offset", { ...numbers, offset: 2 }, [2, 3, 4, 5, 6, 7]],
    ["transposed", { ...numbers, strides: [1, 2] }, [0, 2, 4, 1, 3, 5]],
    ["with holes", { ...numbers, shape: [2, 2], strides: [4, 1] }, [0, 1, 4, 5]],
    ["along an axis of one", { ...numbers, shape: [1, 3], strides: [77, 1] }, [0, 1, 2]],
    ["without elements", { ...numbers, shape: [0, 3] }, []],
    ["of no axis", { ...numbers, shape: [], offset: 4 }, [4]],
    ["channels last", { shape: [1, 2, 2, 2], strides: [8, 1, 4, 2], data: numbers.data }, [0, 2, 4, 6, 1, 3, 5, 7]],
  ])("%s", (_, source, expected) => {
    expect(values(read(torchFile((file) => map({ w: file.tensor(source), x: file.float32([1]) }))).entries).w).toEqual(
      expected,
    );
  });

  test("share their numbers where they are tied", () => {
    const shared = { shape: [1], data: Float32Array.of(3), key: "7" };
    const bytes = torchFile((file) => map({ a: file.tensor(shared), b: file.tensor(shared) }));
    expect(values(read(bytes).entries)).toEqual({ a: [3], b: [3] });
  });

  test("are views of the file", () => {
    const bytes = torchFile((file) => map({ w: file.float32([1000]) }));
    const { entries } = read(bytes);
    expect(entries.get("w")!.bytes.buffer).toBe(bytes.buffer);
  });
});

describe("what torch.save would not write", () => {
  const tensor = (source: Parameters<TorchFile["tensor"]>[0]) => torchFile((file) => map({ w: file.tensor(source) }));
  const four = Float32Array.of(1, 2, 3, 4);

  test.each<[string, Uint8Array, RegExp]>([
    [
      "a storage that is too long",
      tensor({ shape: [3], data: four, count: 3 }),
      /should have 3 elements of 4 bytes, but has 16/,
    ],
    ["a negative count", tensor({ shape: [1], data: four, count: -4 }), /should have -4 elements/],
    ["an offset beyond it", tensor({ shape: [2], data: four, offset: 3 }), /from element 3 of storage 0, which has 4/],
    ["a negative offset", tensor({ shape: [2], data: four, offset: -1 }), /not whole numbers that go together/],
    [
      "strides for another shape",
      tensor({ shape: [2], data: four, strides: [1, 1] }),
      /not whole numbers that go together/,
    ],
    [
      "a size that overflows",
      tensor({ shape: [2 ** 31 - 1, 2 ** 31 - 1, 2 ** 31 - 1], data: four, strides: [0, 0, 1] }),
      /which has 4 elements/,
    ],
    ["axes without end", tensor({ shape: new Array<number>(50).fill(1), data: four }), /go together/],
    [
      "a tensor of something else",
      torchFile(() => map({ w: call(global("torch._utils", "_rebuild_tensor_v2"), 1, 2, 3, 4) })),
      /something that is not a storage/,
    ],
    [
      "a parameter of something else",
      torchFile(() => map({ w: call(global("torch._utils", "_rebuild_parameter"), 1) })),
      /parameter of something that is not a tensor/,
    ],
    [
      "a dictionary of something else",
      torchFile(() => call(global("collections", "OrderedDict"), [1, 2])),
      /something else than pairs/,
    ],
    ["no dictionary", torchFile(() => [1, 2]), /holds a list, but no weights/],
  ])("%s is refused", (_, bytes, message) => {
    expect(() => read(bytes)).toThrow(message);
    expect(() => read(bytes)).toThrow(ModelFileError);
    expect(() => read(bytes)).toThrow(/^x\.pth: /);
  });

  test("names of JavaScript's own objects are names like others", () => {
    const names = ["__proto__", "constructor", "toString"];
    const { entries } = read(
      torchFile((file) => map({ model: new Map(names.map((name) => [name, file.float32([1], [9])])) })),
    );
    expect([...entries.keys()]).toEqual(names);
    expect(({} as Record<string, unknown>).shape).toBeUndefined();
  });
});
