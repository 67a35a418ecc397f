import type { OpAttrs, Override, OverrideCall, View } from "@dfine/tensor";
import { expect } from "vitest";
import { TestRuntime } from "./hostileRuntime.ts";

// One thread and several, plain and relaxed SIMD, low and (unsigned) high addresses.
const PAIRS = [
  [new TestRuntime(), new TestRuntime({ threads: 3 })],
  [new TestRuntime({ relaxed: true }), new TestRuntime({ relaxed: true, threads: 2, base: 2 ** 31 + 64 })],
] as const;

export interface OpCall<Attrs> {
  readonly inputs: (runtime: TestRuntime) => readonly View[];
  readonly outputs: (runtime: TestRuntime) => readonly View[];
  readonly attrs: Attrs;
}

/**
 * Runs an override on every kind of runtime and hands each output to `verify`. Fails when memory around the outputs or
 * the scratch was written, or when the number of threads changes a bit.
 */
export function runOverride<Name extends keyof OpAttrs>(
  make: (runtime: TestRuntime) => Override<OpAttrs[Name]>,
  call: OpCall<OpAttrs[Name]>,
  verify: (outputs: number[][]) => void,
): void {
  for (const pair of PAIRS) {
    const [one, several] = pair.map((runtime) => {
      runtime.reset();
      const inputs = call.inputs(runtime);
      const outputs = call.outputs(runtime);
      const override = make(runtime);
      const variant = override.select(inputs, call.attrs);
      if (variant === undefined) throw new Error("the override declined");
      override.run({ variant, inputs, outputs, attrs: call.attrs } satisfies OverrideCall<OpAttrs[Name]>);
      runtime.check();
      return outputs.map((output) => runtime.read(output));
    }) as [number[][], number[][]];
    expect(several).toEqual(one);
    verify(one);
  }
}

/** What an output should be, and how large the terms were that made it. */
export interface Oracle {
  readonly values: readonly number[];
  /** The same sums over absolute values: rounding is measured against these. */
  readonly magnitudes: readonly number[];
}

const EPSILON = 2 ** -23;

/** Every element within 8 ε of its magnitude; NaN and infinities as they should be. */
export function expectClose(actual: readonly number[], { values, magnitudes }: Oracle): void {
  expect(actual.length).toBe(values.length);
  for (let i = 0; i < values.length; i++) {
    const [got, want] = [actual[i]!, values[i]!];
    if (Object.is(got, want) || Math.abs(got - want) <= 8 * EPSILON * magnitudes[i]!) continue;
    expect.fail(`element ${i} of ${values.length}: ${got}, expected ${want} ± ${8 * EPSILON * magnitudes[i]!}`);
  }
}

/** Deterministic float32 numbers in −1…1. */
export function numbers(length: number, seed = 1): Float32Array {
  let state = (seed * 2654435761) >>> 0;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 31 - 1) * 0.999;
  });
}
