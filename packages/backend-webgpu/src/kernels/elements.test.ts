import fc from "fast-check";
import { afterAll, expect, it } from "vitest";
import { testDevice } from "../../test/device.ts";
import { dispatchElements, elementKernel } from "./elements.ts";
import type { GpuRuntime } from "./runtime.ts";

const { backend, runtime } = await testDevice();
afterAll(() => backend.dispose());

const KERNEL = elementKernel({
  name: "test.elements",
  bindings: { x: "write i32" },
  body: "fn element(i: i32) { x[u.o_x + i] = x[u.o_x + i] + i * u.step; }",
});

it("reaches every element once, also beyond one row of workgroups", async () => {
  const count = 65535 * 64 + 130;
  const buffer = backend.alloc(count + 7, "i32");
  const data = new Int32Array(count + 7).fill(5);
  backend.write({ buffer, offset: 0, length: data.length }, data);
  dispatchElements(runtime, KERNEL, { views: { x: { buffer, offset: 3 } }, uniforms: { step: 2 }, count });
  const [got] = await backend.read([{ buffer, offset: 0, length: data.length }]);
  const wrong = got!.findIndex((v, i) => v !== (i < 3 || i >= count + 3 ? 5 : 5 + 2 * (i - 3)));
  expect(wrong).toBe(-1);
});

it("cuts long work, at most as many visits at a time as the device is given, without a gap", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 22 }), fc.integer({ min: 1, max: 2 ** 20 }), (count, visits) => {
      fc.pre(count * visits < 2 ** 36);
      const ranges: { first: number; last: number; threads: number; work: number }[] = [];
      const recording: Pick<GpuRuntime, "dispatch"> = {
        dispatch(_, { uniforms, workgroups: [x, y = 1], work = 0 }) {
          const { first, last } = uniforms as Record<string, number>;
          ranges.push({ first: first!, last: last!, threads: x * y * 64, work });
        },
      };
      const view = { buffer: backend.alloc(1, "i32"), offset: 0 };
      dispatchElements({ ...runtime, ...recording }, KERNEL, {
        ...{ views: { x: view }, uniforms: { step: 1 }, count, visits },
      });
      backend.free(view.buffer);
      let next = 0;
      for (const { first, last, threads, work } of ranges) {
        expect(first).toBe(next);
        expect(last).toBeGreaterThan(first);
        expect(threads).toBeGreaterThanOrEqual(last - first);
        expect(work).toBe((last - first) * visits);
        expect(work).toBeLessThanOrEqual(Math.max(runtime.limits.visits, 64 * visits));
        next = last;
      }
      expect(next).toBe(count);
    }),
  );
});
