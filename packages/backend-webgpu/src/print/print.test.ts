import { axisIndex, load } from "@dfine/tensor/kernel";
import { afterAll, expect, it } from "vitest";
import {
  compareWithExact,
  dense,
  exact,
  kernelProperties,
  SIZES,
  store,
} from "../../../tensor/test/kernelProperties.ts";
import { kernelOf, runTrial } from "../../../tensor/test/kernelTrial.ts";
import { oneDevice } from "../../test/oneDevice.ts";

const device = await oneDevice();
const serial = device.make({ barriers: false, visitsPerDispatch: 100 });
const byFour = device.make({ barriers: false, quadVisits: 0 });
const folding = device.make({ barriers: true, maxBindings: 4 });
afterAll(() => device.destroy());

kernelProperties(
  async (trial) => {
    await compareWithExact({ serial, byFour, folding }, trial);
  },
  { runs: 40, lengths: [0, 1, 5, 65, 700] },
);

it("views of one buffer are bound once, also where one is written", async () => {
  const stages = [store([2, load(0).add(load(1))])];
  for (const backend of [exact, serial, byFour, folding]) {
    const buffer = backend.alloc(300, "f32");
    backend.write(
      { buffer, offset: 0, length: 300 },
      Float32Array.from({ length: 300 }, (_, i) => i),
    );
    const at = (offset: number) => ({ buffer, offset, strides: [1], length: 300 - offset });
    const operands = [dense("f32", 100), dense("f32", 100), dense("f32", 100, "write")];
    const kernel = kernelOf(["map"], operands, { stages });
    backend.run(kernel, { sizes: [100], operands: [at(0), at(100), at(200)], params: [] });
    const [values] = await backend.read([{ buffer, offset: 0, length: 300 }]);
    expect([...values!]).toEqual(Array.from({ length: 300 }, (_, i) => (i < 200 ? i : 2 * i - 300)));
    backend.free(buffer);
  }
});

it("more elements than one row of workgroups holds", async () => {
  const n = 65535 * 64 + 77;
  const buffer = folding.alloc(n, "i32");
  const kernel = kernelOf(["map"], [dense("i32", 2, "write")], { stages: [store([0, axisIndex(0).mul(3)])] });
  folding.run(kernel, { sizes: [n], operands: [{ buffer, offset: 0, strides: [1], length: n }], params: [] });
  const [values] = await folding.read([{ buffer, offset: 0, length: n }]);
  expect(values!.findIndex((value, i) => value !== 3 * i)).toBe(-1);
  folding.free(buffer);
});

it("kernels are compiled once, whatever the sizes", async () => {
  const before = serial.counters.pipelines;
  for (const n of SIZES) {
    const operands = [dense("f32", n), dense("f32", n, "write")];
    const kernel = kernelOf(["map"], operands, { stages: [store([1, load(0).mul(1.25)])] });
    await runTrial(serial, { kernel, sizes: [n], operands, params: [] });
  }
  // One size has stride 1, another 0: `still` for a single element.
  expect(serial.counters.pipelines - before).toBeLessThanOrEqual(2);
});
