import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import {
  backward,
  checkpoint,
  layerNorm,
  linear,
  liveStorages,
  packedGradients,
  Random,
  referenceBackend,
  scope,
  setBackend,
  setTrace,
  split,
  type Tensor,
  tensor,
} from "../index.ts";

beforeAll(() => setBackend(referenceBackend({ floatBits: 64, poison: true })));

const drawn = (shape: readonly number[], seed: number): Tensor => {
  const random = new Random(seed);
  return tensor(
    Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal()),
    shape,
  );
};
const leaf = (shape: readonly number[], seed: number): Tensor => {
  const x = drawn(shape, seed);
  x.requiresGrad = true;
  return x;
};
const liesAt = (x: Tensor, place: Tensor): boolean => x.storage === place.storage && x.offset === place.offset;

/** Ways of using a leaf [4, 6], each a number. */
const USES: readonly ((w: Tensor) => Tensor)[] = [
  (w) => w.mul(w).sum(),
  (w) =>
    w
      .reshape([24])
      .mul(drawn([24], 7))
      .sum(),
  (w) =>
    linear(drawn([3, 6], 1), w)
      .mul(drawn([3, 4], 2))
      .sum(),
  (w) =>
    w
      .transpose(0, 1)
      .matmul(drawn([4, 2], 3))
      .sum(),
  (w) => {
    const [first, second] = split(w, [1, 3]) as [Tensor, Tensor];
    return first.mul(3).sum().add(second.mul(second).sum());
  },
  (w) =>
    split(w, [2, 4], 1)[1]!
      .mul(drawn([4, 4], 4))
      .sum(),
  (w) =>
    w
      .expand([2, 4, 6])
      .mul(drawn([2, 4, 6], 5))
      .sum(),
  (w) => w.slice([{ start: 1, end: 3 }]).sum(),
  (w) => checkpoint(([x]) => linear(x!, w), [drawn([3, 6], 6)]).sum(),
];

describe("a gradient that is wanted in a place", () => {
  it("is the same as without, however its leaf is used, also over several passes", () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: USES.length - 1 }), { minLength: 1, maxLength: 5 }),
        async (uses) => {
          const [free, placed] = [leaf([4, 6], 9), leaf([4, 6], 9)];
          packedGradients([placed]);
          for (const w of [free, placed])
            for (const passes of [uses, uses.slice(0, 1)])
              backward(passes.map((use) => USES[use]!(w)).reduce((a, b) => a.add(b)));
          expect(await placed.grad!.data()).toEqual(await free.grad!.data());
        },
      ),
      { numRuns: 150 },
    ));

  it("is written there by kernels that are made of formulas, through views of the leaf too", () => {
    const leaves = [leaf([4], 1), leaf([4], 2), leaf([2, 2], 3)];
    const places = packedGradients(leaves);
    const [weight, bias, shift] = leaves as [Tensor, Tensor, Tensor];
    backward(
      layerNorm(drawn([3, 4], 4), { weight, bias })
        .add(shift.reshape([4]))
        .sum(),
    );
    expect(leaves.map(({ grad }, i) => liesAt(grad!, places[i]!))).toEqual([true, true, true]);
  });

  it("overwrites the one before once that is let go, and never one that is still there", async () => {
    const w = leaf([3], 1);
    packedGradients([w]);
    backward(w.mul(2).sum());
    backward(w.mul(3).sum());
    expect([...(await w.grad!.data())]).toEqual([5, 5, 5]);
    w.grad = undefined;
    backward(w.mul(4).sum());
    expect([...(await w.grad!.data())]).toEqual([4, 4, 4]);
  });

  it("is made elsewhere when the place was freed", async () => {
    const w = leaf([3], 1);
    for (const place of packedGradients([w])) place.dispose();
    backward(w.mul(2).sum());
    expect([...(await w.grad!.data())]).toEqual([2, 2, 2]);
  });
});

it("gradients of pieces are written into the whole, and nothing stays", () => {
  const x = leaf([4, 6], 1);
  const copies: string[] = [];
  const before = liveStorages();
  setTrace(({ op }) => op === "copy" && copies.push(op));
  scope("pass", () => {
    const [a, b] = split(x.mul(1), [2, 4], 1) as [Tensor, Tensor];
    backward(a.mul(2).sum().add(b.mul(b).sum()));
  });
  setTrace(undefined);
  expect(copies).toEqual([]);
  x.grad = undefined;
  expect(liveStorages()).toBe(before);
});
