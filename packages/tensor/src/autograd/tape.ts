import { GradientError } from "../errors.ts";
import { lastOf } from "../ops/inPlace.ts";
import { runtime } from "../runtime.ts";
import type { Tensor } from "../tensor.ts";
import { Node, type Vjp } from "./node.ts";

/** Whether an op on `inputs` must be recorded. */
export const recordsGradient = (inputs: readonly (Tensor | undefined)[]): boolean =>
  runtime.gradientEnabled && inputs.some((input) => input?.edge !== undefined);

/** A handle for the tape: shares the storage, belongs to no scope, has no history. */
export const saveForBackward = (tensor: Tensor): Tensor => tensor.alias({ scoped: false });

/**
 * Attaches a node to `outputs` (those of dtype f32), so that `backward` can reach `inputs`. What is `saved` may not be
 * changed in place before: `backward` throws a GradientError then.
 */
export function record(
  name: string,
  outputs: readonly Tensor[],
  options: { inputs: readonly (Tensor | undefined)[]; saved: readonly Tensor[]; vjp: Vjp<Tensor> },
): void {
  const { saved } = options;
  const versions = saved.map(({ storage }) => storage.version);
  const node = new Node(name, {
    inputs: options.inputs.map((input) => input?.edge),
    outputCount: outputs.length,
    saved,
    vjp: (call) => {
      const changed = saved.find((t, i) => t.storage.changedSince(versions[i]!, t.offset, lastOf(t)));
      if (changed)
        throw new GradientError(
          `backward: "${name}" needs a tensor [${changed.shape}] as it was, but it was changed in place since; change it after the backward pass, or change a copy, identity(x)`,
        );
      return options.vjp(call);
    },
  });
  outputs.forEach((tensor, output) => {
    if (tensor.dtype === "f32") tensor.attach({ node, output });
  });
}
