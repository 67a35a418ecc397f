import {
  conv2d,
  copyInto,
  fillInto,
  noGrad,
  readResults,
  type Tensor,
  tensor,
  writeTensor,
  zeros,
} from "@dfine/tensor";
import type { View } from "@dfine/tensor/kernel";
import { afterAll, describe, expect, it } from "vitest";
import { numbers } from "../../../tensor/test/sums.ts";
import { cpu } from "../backend.ts";
import { Heap } from "./heap.ts";
import { KeptForms } from "./keptForms.ts";

describe("a form", () => {
  const heap = new Heap({ shared: false, limitBytes: 2 ** 24 });
  const view = (version: number | undefined, offset = 0): View => ({
    ...{ buffer, dtype: "f32", shape: [4], strides: [1], offset, version },
  });
  const buffer = { length: 8, dtype: "f32" } as const;
  let made = 0;
  const form = { name: "twice", bytes: 4096, make: () => void made++ };

  it("is kept from the second use on, as long as the elements are the same ones", () => {
    const forms = new KeptForms(heap);
    expect(forms.find(view(1), form)).toBeUndefined();
    const kept = forms.find(view(1), form);
    expect(kept).toBeTypeOf("number");
    expect([forms.find(view(1), form), made]).toEqual([kept, 1]);
    expect(forms.find(view(1, 4), form)).toBeUndefined();
    expect(forms.find(view(1), { ...form, name: "thrice" })).toBeUndefined();
    expect(forms.find(view(2), form)).toBeUndefined();
    forms.drop(buffer);
    expect(heap.usedBytes).toBe(0);
  });

  it("gives its memory back with the buffer, and where gradients flow to the weight", () => {
    const forms = new KeptForms(heap);
    for (const end of [() => forms.drop(buffer), () => forms.find(view(undefined), form)]) {
      forms.find(view(1), form);
      forms.find(view(1), form);
      expect(heap.usedBytes).toBe(4096);
      end();
      expect(heap.usedBytes).toBe(0);
      expect(forms.find(view(1), form)).toBeUndefined();
    }
  });
});

it("are given back where memory would not suffice for a tensor", async () => {
  const limit = 12 * 2 ** 20;
  const backend = cpu({ threads: 1, wide: false, memoryLimitBytes: limit });
  using _end = { [Symbol.dispose]: () => backend.dispose() };
  const x = tensor(numbers(256 * 144, 1), [1, 256, 12, 12], { backend });
  const weight = tensor(numbers(256 * 2304, 2), [256, 256, 3, 3], { backend });
  const output = () => readResults(backend, () => noGrad(() => [conv2d(x, weight, { padding: 1 })]));
  await output();
  const without = backend.memory!().bytes;
  await output();
  const kept = backend.memory!().bytes - without;
  expect(kept).toBeGreaterThan(0);
  // Without the form there is room for two of its size, with it for one.
  expect(Math.floor((limit - without) / kept)).toBe(2);
  using _one = zeros([kept / 4], { backend });
  using _two = zeros([kept / 4], { backend });
  expect(backend.memory!().bytes).toBe(without + 2 * kept);
});

describe("a convolution's weight", () => {
  const backend = cpu({ threads: 1, wide: false });
  afterAll(() => backend.dispose());
  const shape = [16, 16, 3, 3];
  const x = tensor(numbers(16 * 144, 1), [1, 16, 12, 12], { backend });
  const outputs = (weight: Tensor, times = 3) =>
    readResults(backend, () => noGrad(() => Array.from({ length: times }, () => conv2d(x, weight, { padding: 1 }))));

  it("is never used as it was before a change", async () => {
    const weight = tensor(numbers(2304, 2), shape, { backend });
    const others = numbers(2304, 3);
    const changes: (() => void)[] = [
      () => fillInto(weight.slice([{ start: 3, end: 4 }]), 0.5),
      () => copyInto(weight, tensor(others, shape, { backend })),
      () => writeTensor(weight, numbers(2304, 4)),
      () => backend.write({ buffer: weight.view.buffer, offset: 0, length: 2304 }, others),
    ];
    for (const change of changes) {
      const before = await outputs(weight);
      change();
      const fresh = tensor(await weight.data(), shape, { backend });
      const [expected] = await outputs(fresh, 1);
      for (const got of await outputs(weight)) {
        expect(got).toEqual(expected);
        expect(got).not.toEqual(before[0]);
      }
      fresh.dispose();
    }
    weight.dispose();
  });

  it("takes no more memory once it is freed", async () => {
    const { bytes } = backend.memory();
    const weight = tensor(numbers(2304, 2), shape, { backend });
    const alone = backend.memory().bytes;
    await outputs(weight);
    expect(backend.memory().bytes).toBeGreaterThan(alone);
    weight.dispose();
    expect(backend.memory().bytes).toBe(bytes);
  });
});
