import { liveStorages, referenceBackend, setBackend, type Tensor, tensor } from "@dfine/tensor";
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { Ema, emaDecay } from "./ema.ts";

beforeAll(() => setBackend(referenceBackend({ floatBits: 64 })));
const options = { decay: 0.9, warmups: 5 };

const state = (values: readonly number[], count = 0): Map<string, Tensor> =>
  new Map([
    ["weight", tensor(values)],
    ["running_mean", tensor(values.map((v) => 2 * v))],
    ["num_batches_tracked", tensor(Int32Array.of(count))],
  ]);
const values = fc.tuple(...[0, 1, 2].map(() => fc.double({ min: -3, max: 3, noNaN: true })));

test("the decay rises from 0 to its limit", () => {
  expect(emaDecay({ decay: 0.999, warmups: 4 }, 1)).toBeCloseTo(0.22097801771, 10);
  expect(emaDecay(options, 1000)).toBeCloseTo(0.9, 12);
  expect(emaDecay({ decay: 0.7, warmups: 0 }, 1)).toBe(0.7);
});

test("averages parameters and buffers, leaves integers, and is restored exactly", () =>
  fc.assert(
    fc.asyncProperty(values, fc.array(values, { minLength: 1, maxLength: 5 }), async (start, list) => {
      const ema = new Ema(state(start), options);
      let mean = [...start];
      list.forEach((next, i) => {
        const d = 0.9 * (1 - Math.exp(-(i + 1) / 5));
        mean = mean.map((v, k) => d * v + (1 - d) * next[k]!);
        ema.update(state(next, i + 1));
      });
      const weight = await ema.entries.get("weight")!.data();
      const buffer = await ema.entries.get("running_mean")!.data();
      mean.forEach((value, k) => {
        expect(weight[k]).toBeCloseTo(value, 12);
        expect(buffer[k]).toBeCloseTo(2 * value, 12);
      });
      expect([...(await ema.entries.get("num_batches_tracked")!.data())]).toEqual([0]);

      const other = new Ema(state(start), options);
      other.restore(await ema.save());
      expect(other.updates).toBe(list.length);
      for (const one of [ema, other]) one.update(state(start));
      expect([...(await other.entries.get("weight")!.data())]).toEqual([...(await ema.entries.get("weight")!.data())]);
      ema.dispose();
      other.dispose();
    }),
    { numRuns: 40 },
  ));

test("infinite entries stay infinite, and nothing leaks", async () => {
  const before = liveStorages();
  const anchors = new Map([["anchors", tensor([Number.POSITIVE_INFINITY, 1])]]);
  const ema = new Ema(anchors, options);
  ema.update(anchors);
  const reading = ema.entries.get("anchors")!.data();
  ema.dispose();
  anchors.get("anchors")!.dispose();
  expect(liveStorages()).toBe(before);
  expect([...(await reading)]).toEqual([Number.POSITIVE_INFINITY, 1]);
});
