import { load } from "@dfine/tensor/kernel";
import { expect, it } from "vitest";
import { dense } from "../../../tensor/test/kernelProperties.ts";
import { kernelOf } from "../../../tensor/test/kernelTrial.ts";
import { chooseLanes } from "./nest.ts";

const operand = (mode: "read" | "write", strides: readonly number[]) => ({ ...dense("f32", 1, mode), strides });
const lanesOf = (kinds: readonly ("map" | "reduce")[], strides: readonly (readonly number[])[], sizes: number[]) => {
  const operands = strides.map((own, i) => operand(i === 0 ? "read" : "write", own));
  const stages = kinds.includes("reduce") ? [{ kind: "reduce", op: "sum", expr: load(0) } as const] : [];
  const { lanes, vectorAxis } = chooseLanes(kernelOf(kinds, operands, { stages }), sizes);
  return `${lanes} ${vectorAxis}`;
};

it("lanes lie along memory, unless an axis is too short for a vector and another is not", () => {
  const [doubled, pairs] = [
    [
      [1, 0],
      [2, 1],
    ],
    [
      [2, 1],
      [1, 0],
    ],
  ];
  expect(lanesOf(["map", "map"], doubled, [20, 8])).toBe("map 1");
  expect(lanesOf(["map", "map"], doubled, [20, 2])).toBe("map 0");
  expect(lanesOf(["map", "map"], doubled, [3, 2])).toBe("map 1");
  expect(lanesOf(["map", "reduce"], pairs, [20, 8])).toBe("reduce 1");
  expect(lanesOf(["map", "reduce"], pairs, [20, 2])).toBe("map 0");
  expect(lanesOf(["map", "reduce"], pairs, [3, 2])).toBe("reduce 1");
});
