import { beforeAll, describe, expect, it } from "vitest";
import * as tensorPackage from "../index.ts";
import {
  ArgumentError,
  add,
  amax,
  arange,
  BackendError,
  bitsTensor,
  type Conv2dOptions,
  concat,
  conv2d,
  copyInto,
  DtypeError,
  defineUpdate,
  deformableSample,
  div,
  fillInto,
  full,
  linear,
  liveStorages,
  matmul,
  maxPool2d,
  mul,
  OwnershipError,
  oneHot,
  overwrites,
  readTensors,
  referenceBackend,
  ShapeError,
  scope,
  setBackend,
  softmax,
  stack,
  sum,
  type Tensor,
  TensorError,
  tensor,
  topK,
  uniform,
  where,
  writeTensor,
  zeros,
} from "../index.ts";
import type { OperationTable } from "../kernel/index.ts";
import { registeredOps } from "../testing/index.ts";

beforeAll(() => setBackend(referenceBackend({ floatBits: 64, poison: true })));

const f32 = (...shape: number[]): Tensor => zeros(shape);
const i32 = (...shape: number[]): Tensor => zeros(shape, { dtype: "i32" });
/** What somebody who does not use TypeScript may pass. */
const untyped = <T>(value: unknown): T => value as T;

const swap = defineUpdate("test.swap", ([a, b], [factor]) => [b!.mul(factor!), a!.mul(factor!)], {
  takes: ["a", "b", "factor"],
  cases: (op) => [{ name: "two rows", inputs: [{ shape: [3] }, { shape: [3] }, 2], ...overwrites(op, 2) }],
});

it("every registered op has calls that it must refuse", () => {
  expect(
    registeredOps()
      .filter((op) => op.refusals().length === 0)
      .map(({ name }) => name),
  ).toEqual([]);
});

it("a table of rules without one for an op or an element type does not compile", () => {
  // @ts-expect-error `add` of i32 has no rule.
  const partial: OperationTable<string, "add"> = { add: { f32: "+" } };
  // @ts-expect-error `sub` has no rule.
  const missing: OperationTable<string, "add" | "sub"> = { add: { f32: "+", i32: "+" } };
  expect([partial, missing]).toHaveLength(2);
});

const CALLS: readonly (readonly [
  call: string,
  run: () => unknown,
  error: abstract new (...args: never[]) => Error,
  message: string,
])[] = [
  [
    "matmul of i32",
    () => matmul(f32(2, 3), i32(3, 2)),
    DtypeError,
    "matmul: b is i32 [3,2]; it takes f32: toFloat(x) converts",
  ],
  ["conv2d of i32", () => conv2d(i32(1, 1, 3, 3), f32(1, 1, 1, 1)), DtypeError, "conv2d: x is i32"],
  ["topK of i32", () => topK(i32(3), 1), DtypeError, "topK: x is i32"],
  ["linear of i32", () => linear(f32(2, 3), i32(4, 3)), DtypeError, "linear: weight is i32"],
  ["oneHot of f32", () => oneHot(f32(3), 4), DtypeError, "oneHot: labels is f32 [3]; it takes i32: toInt(x) converts"],
  ["f32 + i32", () => add(f32(3), i32(3)), DtypeError, "add: input 2 is i32, another input f32"],
  ["f32 where i32", () => where(tensor([1], [1], { dtype: "bool" }), f32(1), i32(1)), DtypeError, "input 3 is i32"],
  ["division of i32", () => div(i32(3), 2), DtypeError, "div: input 1 is i32 [3]; it takes f32"],
  ["i32 · 0.5", () => mul(i32(3), 0.5), DtypeError, "mul: input 2 is 0.5, which i32 does not hold"],
  ["i32 · 2³²", () => mul(i32(3), 2 ** 32), DtypeError, "mul: input 2 is 4294967296, which i32 does not hold"],
  [
    "a list",
    () => add(untyped<Tensor>([1, 2]), f32(2)),
    ArgumentError,
    "add: input 1 is the list [1, 2]; it takes a tensor",
  ],
  ["nothing", () => matmul(f32(2, 2), untyped<Tensor>(undefined)), ArgumentError, "matmul: b is missing"],
  ["a text", () => add(f32(2), untyped<number>("1")), ArgumentError, 'add: input 2 is "1"; it takes a tensor'],
  ["an input too many", () => untyped<typeof sum>(add)(f32(2), 1, untyped(2)), ArgumentError, "add: takes 2 inputs"],
  ["numbers alone", () => add(1, 2), ArgumentError, "add: at least one input must be a tensor"],
  [
    "a bias as options",
    () => conv2d(f32(1, 1, 3, 3), f32(1, 1, 1, 1), untyped(f32(1))),
    ArgumentError,
    "conv2d: options is a tensor of f32 [1]; it takes an object of options: { stride, padding, dilation, groups, bias }",
  ],
  [
    "strides",
    () => conv2d(f32(1, 1, 3, 3), f32(1, 1, 1, 1), untyped<Conv2dOptions>({ strides: 2 })),
    ArgumentError,
    'conv2d: there is no option "strides"; did you mean "stride"?',
  ],
  [
    "stride 0",
    () => conv2d(f32(1, 1, 3, 3), f32(1, 1, 1, 1), { stride: 0 }),
    ArgumentError,
    "conv2d: stride is 0; it takes a whole number from 1 on",
  ],
  ["half a stride", () => conv2d(f32(1, 1, 3, 3), f32(1, 1, 1, 1), { stride: 0.5 }), ArgumentError, "stride is 0.5"],
  ["negative padding", () => conv2d(f32(1, 1, 3, 3), f32(1, 1, 1, 1), { padding: -1 }), ArgumentError, "padding is -1"],
  [
    "three paddings",
    () => conv2d(f32(1, 1, 3, 3), f32(1, 1, 1, 1), { padding: untyped([1, 1, 1]) }),
    ArgumentError,
    "padding is the list [1, 1, 1]",
  ],
  ["groups 0", () => conv2d(f32(1, 1, 3, 3), f32(1, 1, 1, 1), { groups: 0 }), ArgumentError, "groups is 0"],
  ["dilation 0", () => conv2d(f32(1, 1, 3, 3), f32(1, 1, 1, 1), { dilation: 0 }), ArgumentError, "dilation is 0"],
  [
    "pool options as number",
    () => maxPool2d(f32(1, 1, 4, 4), 2, untyped(2)),
    ArgumentError,
    "maxPool2d: options is 2; it takes an object of options",
  ],
  ["a window of 0", () => maxPool2d(f32(1, 1, 4, 4), 0), ArgumentError, "kernelSize is 0"],
  ["keepdim", () => sum(f32(2, 2), 0, untyped({ keepdim: true })), ArgumentError, 'did you mean "keepDim"?'],
  [
    "a method",
    () =>
      deformableSample(
        { value: f32(1, 1, 1, 1), locations: f32(1, 1, 1, 1, 2), weights: f32(1, 1, 1, 1) },
        { method: untyped("cubic"), levels: [] },
      ),
    ArgumentError,
    'method is "cubic"; it takes one of bilinear, discrete',
  ],
  ["concat of two dtypes", () => concat([f32(2), i32(2)]), DtypeError, "concat: tensor 2 is i32"],
  ["copy of another dtype", () => copyInto(f32(2), i32(2)), DtypeError, "copyInto: source is i32"],
  [
    "copy of a smaller source",
    () => copyInto(f32(4), f32(3)),
    ShapeError,
    "copyInto: [3] does not broadcast to the target's [4]",
  ],
  [
    "copy of a larger source",
    () => copyInto(f32(3), f32(2, 3)),
    ShapeError,
    "copyInto: [2, 3] does not broadcast to the target's [3]",
  ],
  [
    "a copy into an expanded view",
    () => copyInto(f32(1).expand([3]), f32(3)),
    ShapeError,
    "the target [3] was expanded",
  ],
  [
    "fill with a fraction",
    () => fillInto(i32(2), 0.5),
    DtypeError,
    "fillInto: the value is 0.5, which i32 does not hold",
  ],
  ["an update of unlike targets", () => swap([f32(2), f32(3)], [1]), ShapeError, "test.swap: targets are [2] and [3]"],
  [
    "an update that does not broadcast",
    () => swap([f32(2), f32(2)], [f32(3)]),
    ShapeError,
    "test.swap: [3] does not broadcast",
  ],
  ["an update by more", () => swap([f32(2), f32(2)], [f32(3, 2)]), ShapeError, "test.swap: [3, 2] does not broadcast"],
  ["an update of i32", () => swap([f32(2), i32(2)], [1]), DtypeError, "test.swap: b is i32"],
  [
    "nested values",
    () =>
      tensor(
        untyped([
          [1, 2],
          [3, 4],
        ]),
      ),
    ArgumentError,
    "tensor: value 0 is a list; give the numbers one after the other",
  ],
  ["64-bit values", () => tensor(untyped(new BigInt64Array(2))), DtypeError, "tensor: the values are 64-bit integers"],
  ["a hole", () => tensor(untyped([1, undefined])), ArgumentError, "tensor: value 1 is undefined; it must be a number"],
  [
    "no values",
    () => tensor(untyped(undefined)),
    ArgumentError,
    "tensor: values is missing; it takes a list of numbers",
  ],
  ["one number", () => tensor(untyped(5)), ArgumentError, "tensor: values is 5; it takes a list of numbers"],
  [
    "a fraction in i32",
    () => tensor([1, 1.5], [2], { dtype: "i32" }),
    DtypeError,
    "tensor: value 1 is 1.5, which i32 does not hold",
  ],
  ["NaN in i32", () => tensor([Number.NaN], [1], { dtype: "i32" }), DtypeError, "tensor: value 0 is NaN"],
  ["2³¹ in i32", () => tensor(new Float64Array([2 ** 31]), [1], { dtype: "i32" }), DtypeError, "2147483648, which i32"],
  ["2 in bool", () => tensor(Int32Array.of(0, 2), [2], { dtype: "bool" }), DtypeError, "value 1 is 2, which bool"],
  [
    "an unknown dtype",
    () => tensor([1], [1], { dtype: untyped("int32") }),
    ArgumentError,
    'dtype is "int32"; it takes one of f32, i32, bool',
  ],
  [
    "a negative shape",
    () => tensor([1, 2], [-1, -2]),
    ShapeError,
    "tensor: shape is the list [-1, -2]; it takes a list of whole numbers from 0 on",
  ],
  ["a shape of fractions", () => full([1.5], 0), ShapeError, "full: shape is the list [1.5]"],
  ["values that do not fill", () => tensor([1, 2], [3]), ShapeError, "tensor: 2 values do not fill [3]"],
  ["too few values to write", () => writeTensor(f32(3), [1, 2]), ShapeError, "writeTensor: 2 values"],
  ["NaN written to i32", () => writeTensor(i32(1), [Number.NaN]), DtypeError, "writeTensor: value 0 is NaN"],
  ["a length of −1", () => arange(-1), ShapeError, "arange: length is -1; it takes a whole number from 0 on"],
  ["steps of ½", () => arange(3, { step: 0.5 }), DtypeError, "arange: step is 0.5"],
  ["a uniform without shape", () => uniform(untyped(3), [1, 2]), ArgumentError, "uniform: shape is 3"],
  ["a key of fractions", () => bitsTensor([3], [0.1, 2]), DtypeError, "bitsTensor: a word of the key is 0.1"],
  ["the largest of bools", () => amax(tensor([1], [1], { dtype: "bool" })), DtypeError, "amax: x is bool"],
];

/** Arguments after the first tensor, as somebody might misplace them. */
const MISPLACED: readonly (readonly [call: string, run: () => unknown])[] = [
  ["softmax with options", () => softmax(f32(2), untyped({ axis: 0 }))],
  ["stack of nothing", () => stack(untyped(undefined))],
  ["stack of undefined", () => stack(untyped([undefined]))],
  ["concat of nothing", () => concat(untyped(undefined))],
  ["concat of undefined", () => concat(untyped([f32(2), undefined]))],
  ["reshape to a number", () => f32(4).reshape(untyped(4))],
  ["reshape to numbers", () => untyped<(...shape: number[]) => Tensor>(f32(4).reshape.bind(f32(4)))(2, 2)],
  ["permute without order", () => f32(4).permute(untyped(undefined))],
  ["matmul with options", () => untyped<typeof where>(matmul)(f32(2, 2), f32(2, 2), untyped({ transposeB: true }))],
  ["slice by numbers", () => untyped<(...range: number[]) => Tensor>(f32(4).slice.bind(f32(4)))(0, 2)],
  ["slice by a misspelt range", () => f32(4).slice([untyped({ from: 1 })])],
  ["slice by text", () => f32(4).slice([{ start: untyped("1") }])],
  ["a fill by text", () => fillInto(f32(2), untyped("3"))],
  ["sum over text", () => sum(f32(2), untyped("0"))],
  ["topK of NaN", () => topK(f32(2), Number.NaN)],
  ["zeros with a value", () => untyped<typeof full>(zeros)([2], untyped({}), untyped(3))],
  ["a method's argument too many", () => untyped<(x: number) => Tensor>(f32(2).contiguous.bind(f32(2)))(1)],
  ["sampling without inputs", () => deformableSample(untyped(undefined), untyped(undefined))],
  [
    "sampling without levels",
    () =>
      deformableSample(
        { value: f32(1, 1, 1, 1), locations: f32(1, 1, 1, 1, 2), weights: f32(1, 1, 1, 1) },
        untyped({ method: "discrete" }),
      ),
  ],
];

it.each(MISPLACED)("%s is an ArgumentError that says what was given", (_, run) => {
  expect(() => scope("test", run as () => undefined)).toThrow(ArgumentError);
});

it("no op of the root takes arguments too many, or fails with an error of the language", async () => {
  const names = new Set(registeredOps().map(({ name }) => name));
  const strange = [undefined, null, Number.NaN, -1, 1.5, 99, "1", [], [null], [1], {}, { axis: 0 }, () => 1];
  for (const [name, op] of Object.entries(tensorPackage)) {
    if (!names.has(name) || typeof op !== "function") continue;
    const call = async (args: unknown[]): Promise<unknown> => untyped<(...args: unknown[]) => unknown>(op)(...args);
    for (const first of [f32(2, 2), ...strange])
      for (const second of [f32(2, 2), ...strange])
        for (const third of strange) {
          const thrown = await call([first, second, third]).catch((error: unknown) => error);
          if (thrown instanceof Error) expect(thrown, name).toBeInstanceOf(TensorError);
        }
    const tooMany = call([f32(2, 2), ...new Array(12).fill(1)]);
    await expect(tooMany, name).rejects.toThrow(TensorError);
  }
});

describe("a wrong call", () => {
  it.each(CALLS)("%s: an error that tells, and nothing stays", (_, run, error, message) => {
    const before = liveStorages();
    scope("test", () => {
      expect(run).toThrow(error);
      expect(run).toThrow(message);
    });
    expect(liveStorages()).toBe(before);
  });

  it("is refused before anything is allocated", () => {
    const backend = referenceBackend();
    const [a, b] = [tensor([1], [1], { backend }), tensor([1], [1], { backend, dtype: "i32" })];
    const { buffers } = backend.memory();
    for (const call of [
      () => add(a, b),
      () => matmul(a, b),
      () => conv2d(a, b),
      () => concat([a, b]),
      () => copyInto(a, b),
    ])
      expect(call).toThrow(DtypeError);
    expect(backend.memory().buffers).toBe(buffers);
  });

  it("with tensors of two backends, or freed ones, names the op", async () => {
    const stranger = tensor([1], [1], { backend: referenceBackend() });
    expect(() => copyInto(f32(1), stranger)).toThrow(BackendError);
    expect(() => add(f32(1), stranger)).toThrow("add: inputs live on two backends");
    await expect(async () => readTensors([f32(1), stranger])).rejects.toThrow(BackendError);
    const freed = f32(1);
    freed.dispose();
    expect(() => add(freed, 1)).toThrow(
      "add: input 1 was freed; keep(t) takes a tensor out of the scope that frees it",
    );
    expect(() => freed.reshape([1, 1])).toThrow(OwnershipError);
    expect(() => writeTensor(freed, [1])).toThrow(OwnershipError);
  });
});
