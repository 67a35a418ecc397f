import { backward } from "../autograd/gradient.ts";
import type { Backend } from "../backend.ts";
import type { TypedArray } from "../dtype.ts";
import { readTensors, tensor } from "../ops/create.ts";
import type { OpCase } from "../ops/registry.ts";
import { Random } from "../random.ts";
import { withBackend } from "../runtime.ts";
import { scope } from "../scope.ts";
import { Tensor } from "../tensor.ts";
import { type Drawn, type LayoutName, placeInputs } from "./inputs.ts";

export interface Evaluation {
  readonly values: readonly TypedArray[];
  /** One per f32 input; empty when not asked for. */
  readonly gradients: readonly TypedArray[];
}

export interface EvaluationOptions {
  readonly layout?: LayoutName;
  readonly gradients?: boolean;
}

/** Gradient that flows into each f32 output: the same numbers for the same case on every backend. */
const incoming = (output: Tensor, i: number): Float64Array => {
  const random = new Random(i + 11);
  return Float64Array.from({ length: output.size }, () => Math.fround(random.uniform() * 2 - 1));
};

/** Runs a case on a backend, and backpropagates through it. */
export function evaluate(
  backend: Backend,
  call: { readonly opCase: OpCase; readonly inputs: readonly (Drawn | number)[] },
  options: EvaluationOptions = {},
): Promise<Evaluation> {
  return withBackend(backend, () =>
    scope("evaluate", async () => {
      const inputs = placeInputs(backend, call.inputs, options.layout ?? "contiguous");
      const leaves = inputs.filter((input) => input instanceof Tensor && input.dtype === "f32") as Tensor[];
      const wanted = options.gradients === true && call.opCase.differentiable;
      if (wanted) for (const leaf of leaves) leaf.requiresGrad = true;
      const outputs = call.opCase.run(inputs);
      if (wanted) backpropagate(outputs);
      const grads = wanted
        ? leaves.map((leaf) => leaf.grad ?? tensor(new Float64Array(leaf.size), leaf.shape, { backend }))
        : [];
      const arrays = await readTensors([...outputs, ...grads]);
      for (const leaf of leaves) if (leaf.edge) leaf.grad = undefined;
      return { values: arrays.slice(0, outputs.length), gradients: arrays.slice(outputs.length) };
    }),
  );
}

function backpropagate(outputs: readonly Tensor[]): void {
  const parts = outputs.flatMap((output, i) =>
    output.edge ? [output.mul(tensor(incoming(output, i), output.shape, { backend: output.backend })).sum()] : [],
  );
  if (parts.length > 0) backward(parts.reduce((a, b) => a.add(b)));
}

/** Sum of outputs times their incoming gradients, from plain values: what `backpropagate` differentiates. */
export function weighted(values: readonly TypedArray[], shapes: readonly { readonly length: number }[]): number {
  return values.reduce((total, array, i) => {
    const random = new Random(i + 11);
    let sum = 0;
    for (let k = 0; k < shapes[i]!.length; k++) sum += array[k]! * Math.fround(random.uniform() * 2 - 1);
    return total + sum;
  }, 0);
}
