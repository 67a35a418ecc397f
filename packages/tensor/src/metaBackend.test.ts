import { expect, test } from "vitest";
import { BackendError, conv2d, metaBackend, OutOfMemoryError, scope, tensor, withBackend, zeros } from "./index.ts";

test("ops give shapes without memory, and no values", async () => {
  const backend = metaBackend();
  const y = withBackend(backend, () =>
    scope("test", () => conv2d(zeros([2, 3, 1 << 12, 1 << 12]), zeros([1 << 10, 3, 3, 3]), { stride: 2 })),
  );
  expect(y.shape).toEqual([2, 1 << 10, 2047, 2047]);
  await expect(y.data()).rejects.toThrow(BackendError);
  y.dispose();
  expect(backend.memory()).toMatchObject({ bytes: 0, buffers: 0 });
});

test.each([
  ["elements", { elements: 100 }, [[10, 9], [11]], /more than 100 elements/],
  ["tensors", { buffers: 2 }, [[1], [1], [1]], /more than 2 tensors/],
  ["sizes that are no longer numbers", { elements: 100 }, [Array(30).fill(2 ** 40)], /more than 100 elements/],
])("too many %s are refused", (_, limits, shapes, message) => {
  const make = () => withBackend(metaBackend(limits), () => shapes.map((shape) => zeros(shape)));
  expect(make).toThrow(OutOfMemoryError);
  expect(make).toThrow(message);
});

test("what is freed counts no longer", () => {
  withBackend(metaBackend({ buffers: 1, elements: 4 }), () => {
    for (let i = 0; i < 3; i++) tensor([1, 2, 3, 4]).dispose();
  });
});
