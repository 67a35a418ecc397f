import { describe as describeKernel, type Kernel, load, row, type Stage } from "@dfine/tensor/kernel";
import { expect, it } from "vitest";
import { dense } from "../../../tensor/test/kernelProperties.ts";
import { kernelOf } from "../../../tensor/test/kernelTrial.ts";
import { keepCostly, passesOf, stagesOf } from "./passes.ts";

const kernel: Kernel = kernelOf(
  ["map", "reduce"],
  [dense("f32", 3, "read"), dense("f32", 3, "write")].map((operand) => ({ ...operand, strides: [4, 1] })),
  { stages: [] },
);
const store = (expr: ReturnType<typeof load>): Stage => ({
  kind: "store",
  perRow: false,
  writes: [{ operand: 1, expr }],
});
const sum = (expr: ReturnType<typeof load>): Stage => ({ kind: "reduce", op: "sum", expr });

const passText = (stages: readonly Stage[]): string =>
  passesOf(keepCostly(stages, kernel))
    .map((pass) => describeKernel({ ...kernel, name: "pass", stages: stagesOf(pass) }))
    .join("\n");

it("an exponential that was summed waits where the quotient will be stored", () => {
  const e = load(0).sub(row(0)).exp();
  const stages: Stage[] = [{ kind: "reduce", op: "max", expr: load(0) }, sum(e), store(e.div(row(1)))];
  expect(passText(stages)).toMatchInlineSnapshot(`
    "pass over map reduce
      r0 = max x0
    pass over map reduce
      r0 = sum exp((x0 − r0))
      store x1 = exp((x0 − r0))
    pass over map reduce
      store x1 = (x1 / r1)"
  `);
});

it("sums that need nothing of each other are folded together, with a store that needs none of them", () => {
  const stages = [sum(load(0)), sum(load(0).mul(load(0))), store(load(0).mul(2)), sum(load(0).sub(row(1)))];
  expect(passesOf(stages).map(({ folds, store }) => [folds.length, store !== undefined])).toEqual([
    [2, true],
    [1, false],
  ]);
});

it("what costs little is computed again", () => {
  const scaled = load(0).mul(3);
  const stages = [sum(scaled), store(scaled.div(row(0)))];
  expect(keepCostly(stages, kernel)).toEqual(stages);
});
