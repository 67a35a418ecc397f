import type { OpAttrs } from "@dfine/tensor";
import type { Epilogue, FinishedCall, Override, View } from "@dfine/tensor/kernel";
import { expect } from "vitest";
import { TestRuntime } from "./hostileRuntime.ts";

// One thread and several, plain and relaxed SIMD, the narrow tile and the wide one, low and (unsigned) high addresses,
// weights whose forms are kept and others.
const PAIRS = [
  [new TestRuntime(), new TestRuntime({ threads: 3, wide: true, keeps: true })],
  [
    new TestRuntime({ relaxed: true, keeps: true }),
    new TestRuntime({ relaxed: true, wide: true, threads: 2, base: 2 ** 31 + 64 }),
  ],
] as const;

export interface OpCall<Attrs> {
  readonly inputs: (runtime: TestRuntime) => readonly View[];
  readonly outputs: (runtime: TestRuntime) => readonly View[];
  readonly attrs: Attrs;
  /** What an elementwise kernel makes of the output's sums. */
  readonly epilogue?: (runtime: TestRuntime) => Epilogue;
}

/**
 * Runs an override on every kind of runtime and hands each output to `verify`. Fails when memory around the outputs or
 * the scratch was written, or when the number of threads or the register tile changes a bit.
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
      const finished = call.epilogue && { epilogue: call.epilogue(runtime) };
      override.run({ variant, inputs, outputs, attrs: call.attrs, ...finished } satisfies FinishedCall<OpAttrs[Name]>);
      runtime.check();
      return outputs.map((output) => runtime.read(output));
    }) as [number[][], number[][]];
    expect(several).toEqual(one);
    verify(one);
  }
}
