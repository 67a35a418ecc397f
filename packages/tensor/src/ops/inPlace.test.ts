import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import {
  add,
  arange,
  backward,
  copyInto,
  defineUpdate,
  fillInto,
  GradientError,
  identity,
  mul,
  OwnershipError,
  overwrites,
  referenceBackend,
  ShapeError,
  setBackend,
  type Tensor,
  tensor,
  writeTensor,
  zeros,
} from "../index.ts";

beforeAll(() => setBackend(referenceBackend({ floatBits: 64, poison: true })));

const f32 = (...shape: number[]): Tensor => zeros(shape);

const swap = defineUpdate("test.swapInPlace", ([a, b], [factor]) => [b!.mul(factor!), a!.mul(factor!)], {
  takes: ["a", "b", "factor"],
  cases: (op) => [{ name: "two rows", inputs: [{ shape: [3] }, { shape: [3] }, 2], ...overwrites(op, 2) }],
});

describe("a change in place of what the backward pass needs", () => {
  const changes: Record<string, (x: Tensor) => void> = {
    copyInto: (x) => copyInto(x, f32(2)),
    fillInto: (x) => fillInto(x, 1),
    writeTensor: (x) => writeTensor(x, [1, 2]),
    "an update": (x) => swap([x, f32(2)], [1]),
    "a change of a view": (x) => fillInto(x.slice([{ end: 1 }]), 1),
  };

  it.each(Object.entries(changes))("by %s is refused by backward, naming the op", (_, change) => {
    const x = tensor([1, 2]);
    x.requiresGrad = true;
    const factor = tensor([3, 4]);
    const y = mul(x, factor).sum();
    change(factor);
    expect(() => backward(y)).toThrow(GradientError);
    expect(() => backward(mul(x, factor).sum())).not.toThrow();
  });

  it("is no error where the old elements are not needed, or the change was refused itself", async () => {
    const x = tensor([1, 2]);
    x.requiresGrad = true;
    const [term, factor] = [tensor([3, 4]), tensor([5, 6])];
    const y = add(mul(x, factor), term).sum();
    fillInto(term, 0);
    expect(() => copyInto(factor, f32(3))).toThrow(ShapeError);
    expect(() => writeTensor(factor, [1])).toThrow(ShapeError);
    backward(y);
    expect([...(await x.grad!.data())]).toEqual([5, 6]);
  });

  it("in place on a recorded result is refused, whose gradient needs the old value", () => {
    const x = f32(2);
    x.requiresGrad = true;
    const y = mul(x, x);
    for (const call of [() => copyInto(y, x), () => fillInto(y, 1), () => writeTensor(y, [1, 2])])
      expect(call).toThrow(GradientError);
    backward(y.sum());
  });
});

const range = fc.record({
  start: fc.nat(5),
  step: fc.integer({ min: 1, max: 3 }),
  count: fc.integer({ min: 1, max: 4 }),
});

describe("views of one storage", () => {
  it("are copied into each other as if from a copy", async () => {
    await fc.assert(
      fc.asyncProperty(range, range, async (to, from) => {
        const count = Math.min(to.count, from.count);
        const at = ({ start, step }: typeof to): number[] => Array.from({ length: count }, (_, i) => start + i * step);
        const values = Array.from({ length: 20 }, (_, i) => i * i);
        const x = tensor(values);
        const cut = ({ start, step }: typeof to): Tensor =>
          x.slice([{ start, end: start + (count - 1) * step + 1, step }]);
        copyInto(cut(to), cut(from));
        const expected = [...values];
        for (const [i, place] of at(to).entries()) expected[place] = values[at(from)[i]!]!;
        expect([...(await x.data())]).toEqual(expected);
      }),
    );
  });

  it("are updated only where they share no element", async () => {
    await fc.assert(
      fc.asyncProperty(range, range, async (a, b) => {
        const count = Math.min(a.count, b.count);
        const at = ({ start, step }: typeof a): number[] => Array.from({ length: count }, (_, i) => start + i * step);
        const x = arange(20).mul(1);
        const numbers = tensor(Float64Array.from({ length: 20 }, (_, i) => i));
        const cut = ({ start, step }: typeof a): Tensor =>
          numbers.slice([{ start, end: start + (count - 1) * step + 1, step }]);
        const update = (): void => swap([cut(a), cut(b)], [1]);
        if (at(a).some((place) => at(b).includes(place))) expect(update).toThrow(OwnershipError);
        else {
          update();
          const expected = [...(await x.data())];
          for (const [i, place] of at(a).entries()) [expected[place], expected[at(b)[i]!]] = [at(b)[i]!, place];
          expect([...(await numbers.data())]).toEqual(expected);
        }
      }),
    );
  });

  it("may be a target beside a copy of itself", async () => {
    const [a, b] = [tensor([1, 2]), tensor([3, 4])];
    expect(() => swap([a, b], [a])).toThrow("input 3 shares elements with target 1");
    swap([a, b], [identity(a)]);
    expect([...(await a.data())]).toEqual([3, 8]);
  });
});
