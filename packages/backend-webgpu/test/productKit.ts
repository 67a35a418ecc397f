import type { TypedArray } from "@dfine/tensor";
import { expect } from "vitest";
import { makeBackend, type WebGpuBackend } from "../src/backend.ts";
import { openDevice } from "../src/device/openDevice.ts";
import { bothKinds, evaluate, exact, type Input, type Run } from "./opKit.ts";

/** This machine's device with the kernels that software gets, with and without subgroups, and with those that GPUs get. */
export async function productKinds(): Promise<readonly (readonly [string, WebGpuBackend])[]> {
  const open = await openDevice();
  const plain = { ...open, software: true, features: new Set<string>() };
  return [...(await bothKinds()), ["for software without subgroups", makeBackend(plain, {}).backend]];
}

/** What sums of products should be, and how large the terms were that made them. */
export interface Expected {
  readonly values: readonly TypedArray[];
  /** The same sums over absolute values: rounding is measured against these. */
  readonly magnitudes: readonly TypedArray[];
}

/** `run`'s results in float64, by the ops' meanings. */
export async function expectedOf(inputs: readonly Input[], run: Run): Promise<Expected> {
  const absolute = inputs.map((input) => ({ ...input, values: Float32Array.from(input.values, Math.abs) }));
  return { values: await evaluate(exact, inputs, run), magnitudes: await evaluate(exact, absolute, run) };
}

const EPSILON = 2 ** -23;

/** Every element within 8 ε of its magnitude; NaN and infinities as they should be. */
export function expectClose(actual: readonly TypedArray[], { values, magnitudes }: Expected): void {
  expect(actual.map((array) => array.length)).toEqual(values.map((array) => array.length));
  for (const [r, array] of actual.entries())
    for (let i = 0; i < array.length; i++) {
      const [got, want, allowed] = [array[i]!, values[r]![i]!, 8 * EPSILON * magnitudes[r]![i]!];
      if (Object.is(got, want) || Math.abs(got - want) <= allowed) continue;
      expect.fail(`result ${r}, element ${i} of ${array.length}: ${got}, expected ${want} ± ${allowed}`);
    }
}
