import { backward, referenceBackend, setBackend, type Tensor, tensor } from "@dfine/tensor";
import { expect } from "vitest";

/** Double precision: finite differences mean something there. */
export const float64 = referenceBackend({ floatBits: 64 });

/** Runs `body`, which may wait, with `float64` as the backend of what follows. */
export function inFloat64<T>(body: () => T): T {
  setBackend(float64);
  return body();
}

/** Gradient of a one-element loss at a tensor of the given values. */
export async function gradientOf(
  loss: (x: Tensor) => Tensor,
  values: readonly number[],
  shape: readonly number[],
): Promise<ArrayLike<number>> {
  const leaf = tensor(Float64Array.from(values), shape);
  leaf.requiresGrad = true;
  backward(loss(leaf));
  const gradient = leaf.grad ? await leaf.grad.data() : new Float64Array(values.length);
  leaf.grad = undefined;
  return gradient;
}

const STEP = 1e-6;

/** Central differences of a function of plain numbers. */
export function differences(f: (values: readonly number[]) => number, values: readonly number[]): number[] {
  return values.map((_, i) => {
    const at = (move: number) => f(values.map((value, k) => (k === i ? value + move : value)));
    return (at(STEP) - at(-STEP)) / (2 * STEP);
  });
}

/** Every number within `tolerance`, absolute plus relative. */
export function expectClose(found: ArrayLike<number>, wanted: ArrayLike<number>, tolerance = 1e-7): void {
  expect(found.length).toBe(wanted.length);
  for (let i = 0; i < wanted.length; i++)
    expect(Math.abs(found[i]! - wanted[i]!), `element ${i}: ${found[i]} against ${wanted[i]}`).toBeLessThanOrEqual(
      tolerance * (1 + Math.abs(wanted[i]!)),
    );
}
