import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import "./methods.ts";
import { identity } from "./ops/arithmetic.ts";
import { copyInto } from "./ops/copy.ts";
import { tensor } from "./ops/create.ts";
import { transpose } from "./ops/view.ts";
import { coalesce, pack, packedCopies, packedZerosLike } from "./pack.ts";
import { referenceBackend } from "./reference/referenceBackend.ts";
import { setBackend, withBackend } from "./runtime.ts";
import { scope } from "./scope.ts";
import { sizeOf } from "./shape.ts";
import { liveStorages } from "./storage.ts";
import type { Tensor } from "./tensor.ts";

beforeAll(() => setBackend(referenceBackend()));

const shapes = fc.array(fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 3 }), { minLength: 1, maxLength: 12 });
/** Tensors of different values everywhere. */
const fill = (list: readonly (readonly number[])[]): Tensor[] => {
  let next = 1;
  return list.map((shape) =>
    tensor(
      Array.from({ length: sizeOf(shape) }, () => next++),
      shape,
    ),
  );
};
const values = async (x: Tensor): Promise<number[]> => [...(await x.data())];

test("packed tensors keep shape, values and gradient; together they take one storage", () =>
  fc.assert(
    fc.asyncProperty(shapes, async (list) => {
      const [before, tensors, expected] = [liveStorages(), fill(list), fill(list)];
      for (const x of tensors) x.requiresGrad = true;
      const gradient = tensor(new Float32Array(tensors[0]!.size), tensors[0]!.shape);
      tensors[0]!.grad = gradient;
      pack(tensors);
      expect(new Set(tensors.map(({ storage }) => storage)).size).toBe(1);
      expect(liveStorages()).toBe(before + 1 + list.length + 1);
      for (const [i, x] of tensors.entries()) {
        expect(x.shape).toEqual(list[i]);
        expect(x.isContiguous).toBe(true);
        expect(await values(x)).toEqual(await values(expected[i]!));
      }
      expect(tensors[0]!.grad).toBe(gradient);
      tensors[0]!.grad = undefined;
    }),
  ));

test("what is done to joined rows is done to every row", () =>
  fc.assert(
    fc.asyncProperty(shapes, fc.array(fc.nat({ max: 11 }), { maxLength: 4 }), async (list, left) => {
      const sources = fill(list);
      pack(sources);
      const targets = packedZerosLike(sources);
      const rows = sources.map((source, i) => [source, targets[i]!]).filter((_, i) => !left.includes(i));
      const joined = coalesce(rows);
      for (const [source, target] of joined) copyInto(target!, source!);
      for (const [i, target] of targets.entries())
        expect(await values(target)).toEqual(
          left.includes(i) ? new Array(target.size).fill(0) : await values(sources[i]!),
        );
      if (left.length === 0) expect(joined).toHaveLength(1);
      expect(joined.length).toBeLessThanOrEqual(left.length + 1);
    }),
  ));

test("only neighbours in every column are joined", () => {
  const [packedOnes, apart] = [fill([[3], [4], [5]]), fill([[3], [4], [5]])];
  pack(packedOnes);
  expect(coalesce(apart.map((x) => [x]))).toEqual(apart.map((x) => [x]));
  expect(coalesce(packedOnes.map((x, i) => [x, apart[i]!]))).toHaveLength(3);
  const crossed = packedZerosLike([packedOnes[1]!, packedOnes[0]!, packedOnes[2]!]);
  expect(coalesce(packedOnes.map((x, i) => [x, [crossed[1]!, crossed[0]!, crossed[2]!][i]!]))).toHaveLength(3);
  expect(coalesce(packedOnes.map((x) => [x]))).toHaveLength(1);
});

test("views of packed tensors are not joined: what lies between them is not padding", () => {
  const [a, b] = fill([[100], [64]]) as [Tensor, Tensor];
  pack([a, b]);
  expect(coalesce([[a.slice([{ end: 60 }])], [a.slice([{ start: 64 }])], [b]])).toHaveLength(3);
});

test("copies lie as their sources do", () =>
  fc.assert(
    fc.asyncProperty(shapes, shapes, async (first, second) => {
      const [a, b] = [fill(first), fill(second)];
      for (const list of [a, b]) pack(list);
      const mixed = [...a, ...b].reverse();
      const copies = packedCopies(mixed);
      for (const [i, copy] of copies.entries()) expect(await values(copy)).toEqual(await values(mixed[i]!));
      expect(coalesce(mixed.map((x, i) => [x, copies[i]!]))).toHaveLength(2);
    }),
  ));

test("strided tensors and tensors of several dtypes can be packed", async () => {
  const turned = identity(transpose(tensor([1, 2, 3, 4, 5, 6], [2, 3]), 0, 1));
  const view = tensor([1, 2, 3, 4, 5, 6], [2, 3]).transpose(0, 1);
  const counter = tensor(Int32Array.of(7));
  pack([view, counter, turned]);
  expect(await values(view)).toEqual([1, 4, 2, 5, 3, 6]);
  expect(await values(turned)).toEqual([1, 4, 2, 5, 3, 6]);
  expect([counter.dtype, await values(counter)]).toEqual(["i32", [7]]);
  expect(counter.storage).not.toBe(view.storage);
  expect(turned.storage).toBe(view.storage);
});

test("a storage holds at most what the backend takes", () => {
  const backend = { ...referenceBackend(), limits: { maxBufferBytes: 4 * 128, maxBindings: 8 } };
  withBackend(backend, () =>
    scope("test", () => {
      const tensors = fill([[64], [1], [64], [300], [2]]);
      pack(tensors);
      const storages = tensors.map(({ storage }) => storage);
      expect(storages.map((storage) => storages.indexOf(storage))).toEqual([0, 0, 2, 3, 4]);
    }),
  );
});
