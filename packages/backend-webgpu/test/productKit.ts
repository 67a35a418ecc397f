import type { TypedArray } from "@dfine/tensor";
import { expect } from "vitest";
import { expectClose, type Oracle } from "../../tensor/test/sums.ts";
import { makeBackend, type WebGpuBackend } from "../src/backend.ts";
import { openDevice } from "../src/device/openDevice.ts";
import { evaluate, exact, type Input, type Run } from "./opKit.ts";

/** The tile that compiles fastest here, for tests of many sizes; `candidates.heavy.test.ts` walks the others. */
const SMALL_TILE = "tiled 32×32×16 by 64";

/** This machine's device with the kernels that software gets, with and without subgroups, and with one of those that GPUs get. */
export async function productKinds(): Promise<readonly (readonly [string, WebGpuBackend])[]> {
  const open = await openDevice();
  const plain = { ...open, software: true, features: new Set<string>() };
  return [
    ["for software", makeBackend({ ...open, software: true }, {}).backend],
    ["for GPUs", makeBackend({ ...open, software: false }, { products: { choiceOf: () => SMALL_TILE } }).backend],
    ["for software without subgroups", makeBackend(plain, {}).backend],
  ];
}

/** `run`'s results in float64, by the ops' meanings. */
export async function expectedOf(inputs: readonly Input[], run: Run): Promise<Oracle[]> {
  const absolute = inputs.map((input) => ({ ...input, values: Float32Array.from(input.values, Math.abs) }));
  const magnitudes = await evaluate(exact, absolute, run);
  return (await evaluate(exact, inputs, run)).map((values, i) => ({ values, magnitudes: magnitudes[i]! }));
}

export function expectAllClose(actual: readonly TypedArray[], expected: readonly Oracle[]): void {
  expect(actual.length).toBe(expected.length);
  for (const [i, array] of actual.entries()) expectClose(array, expected[i]!, `result ${i}`);
}
