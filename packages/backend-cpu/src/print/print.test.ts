import { load } from "@dfine/tensor/kernel";
import { assertClose, assertSame } from "@dfine/tensor/testing";
import { afterAll, describe, expect, it } from "vitest";
import {
  compareWithExact,
  dense,
  exact,
  kernelProperties,
  SIZES,
  store,
} from "../../../tensor/test/kernelProperties.ts";
import { fill, kernelOf, PROGRAMS, runTrial } from "../../../tensor/test/kernelTrial.ts";
import { cpu } from "../backend.ts";

const plain = cpu({ threads: 1, relaxedSimd: false, wide: false });
const fused = cpu({ threads: 1, wide: false });
const three = cpu({ threads: 3 });
afterAll(() => {
  for (const backend of [plain, fused, three]) backend.dispose();
});

kernelProperties(
  async (trial) => {
    const results = await compareWithExact({ plain, fused, three }, trial);
    for (const [k, array] of results.fused.entries())
      assertSame(`1 thread and 3, vectors merged where they can be: operand ${k}`, results.three[k]!, array);
  },
  { runs: 240, lengths: SIZES },
);

describe("a reduction over nothing but a single element", () => {
  it.each(Object.entries(PROGRAMS))("%s: an axis of size 1 may be left out", async (_, stages) => {
    for (const n of SIZES) {
      const operands = (["read", "read", "write", "write"] as const).map((mode, k) => ({
        ...dense("f32", n, mode),
        data: fill(k + 1, dense("f32", n).data.length, "f32"),
      }));
      const wide = operands.map((o) => ({ ...o, strides: [...o.strides, 0] }));
      const without = await runTrial(fused, {
        kernel: kernelOf(["map"], operands, { stages }),
        sizes: [n],
        operands,
        params: [],
      });
      const kernel = kernelOf(["map", "reduce"], wide, { stages });
      const withAxis = await runTrial(exact, { kernel, sizes: [n, 1], operands: wide, params: [] });
      for (const [k, array] of withAxis.entries())
        assertClose(`operand ${k}`, without[k]!, array, { tolerance: (i) => 1e-5 * (1 + Math.abs(array[i]!)) });
    }
  });
});

describe("kernels are compiled once, whatever the sizes", () => {
  it("and layouts of the same walks", async () => {
    const before = plain.kernelCount;
    for (const n of SIZES) {
      const operands = [dense("f32", n), dense("f32", n, "write")];
      const kernel = kernelOf(["map"], operands, { stages: [store([1, load(0).mul(1.25)])] });
      await runTrial(plain, { kernel, sizes: [n], operands, params: [] });
    }
    // One size has stride 1, another 0: `still` for a single element.
    expect(plain.kernelCount - before).toBeLessThanOrEqual(2);
  });
});
