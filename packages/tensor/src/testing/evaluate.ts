import { backward } from "../autograd/gradient.ts";
import type { Backend } from "../backend.ts";
import type { TypedArray } from "../dtype.ts";
import type { OpCase } from "../ops/cases.ts";
import { readResults, tensor } from "../ops/create.ts";
import { Random } from "../random.ts";
import { withoutOverrides } from "../runtime.ts";
import { Tensor } from "../tensor.ts";
import { type Drawn, type LayoutName, placeInputs } from "./drawnInputs.ts";

export interface Evaluation {
  readonly values: readonly TypedArray[];
  /** One per f32 input; empty when not asked for. */
  readonly gradients: readonly TypedArray[];
}

export interface EvaluationOptions {
  readonly layout?: LayoutName;
  readonly gradients?: boolean;
  /** Ops whose hand-written kernels are not used. */
  readonly without?: readonly string[];
}

/** Gradient that flows into the i-th output: the same numbers for the same case on every backend. */
const incoming = (length: number, i: number): Float64Array => {
  const random = new Random(i + 11);
  return Float64Array.from({ length }, () => Math.fround(random.uniform() * 2 - 1));
};

/** Runs a case on a backend, and backpropagates through it. */
export async function evaluate(
  backend: Backend,
  call: { readonly opCase: OpCase; readonly inputs: readonly (Drawn | number)[] },
  { layout = "contiguous", gradients = false, without = [] }: EvaluationOptions = {},
): Promise<Evaluation> {
  let count = 0;
  const compute = (): readonly Tensor[] => {
    const inputs = placeInputs(backend, call.inputs, layout);
    const leaves = inputs.filter((input) => input instanceof Tensor && input.dtype === "f32") as Tensor[];
    const wanted = gradients && call.opCase.differentiable !== false;
    if (wanted) for (const leaf of leaves) leaf.requiresGrad = true;
    const outputs = call.opCase.run(...inputs);
    count = outputs.length;
    if (!wanted) return outputs;
    backpropagate(outputs);
    return [...outputs, ...leaves.map((leaf) => gradientOf(leaf) ?? tensor(new Float64Array(leaf.size), leaf.shape))];
  };
  const arrays = await readResults(backend, () => withoutOverrides(without, compute));
  return { values: arrays.slice(0, count), gradients: arrays.slice(count) };
}

/** A leaf's gradient, which the scope frees. */
function gradientOf(leaf: Tensor): Tensor | undefined {
  const gradient = leaf.grad?.alias();
  leaf.grad = undefined;
  return gradient;
}

function backpropagate(outputs: readonly Tensor[]): void {
  const parts = outputs.flatMap((output, i) =>
    output.edge ? [output.mul(tensor(incoming(output.size, i), output.shape, { backend: output.backend })).sum()] : [],
  );
  if (parts.length > 0) backward(parts.reduce((a, b) => a.add(b)));
}

/** Sum of outputs times their incoming gradients, from plain values: what `backpropagate` differentiates. */
export function weighted(values: readonly TypedArray[], shapes: readonly { readonly length: number }[]): number {
  return values.reduce((total, array, i) => {
    const weights = incoming(shapes[i]!.length, i);
    return total + weights.reduce((sum, weight, k) => sum + array[k]! * weight, 0);
  }, 0);
}
