import { GradientError } from "../errors.ts";
import { lastOf } from "../ops/inPlace.ts";
import { runtime } from "../runtime.ts";
import type { Tensor } from "../tensor.ts";
import { type Backprop, Node, type Parts, type Vjp } from "./node.ts";

/** Whether an op on `inputs` must be recorded. */
export const recordsGradient = (inputs: readonly (Tensor | undefined)[]): boolean =>
  runtime.gradientEnabled && inputs.some((input) => input?.edge !== undefined);

interface Recording {
  readonly inputs: readonly (Tensor | undefined)[];
  readonly saves?: readonly (Tensor | undefined)[];
  /** Of views. */
  readonly parts?: Parts<Tensor>;
  readonly vjp: (
    call: Backprop<Tensor> & { readonly saved: readonly (Tensor | undefined)[] },
  ) => ReturnType<Vjp<Tensor>>;
}

/**
 * Attaches a node to `outputs` (those of dtype f32) where a gradient is wanted, so that `backward` can reach `inputs`. What an
 * op `saves` is held for its `vjp`, as handles that belong to no scope and have no history, and may not be changed in place
 * before: `backward` throws a GradientError then.
 */
export function record(name: string, outputs: readonly Tensor[], { inputs, saves = [], parts, vjp }: Recording): void {
  if (!recordsGradient(inputs)) return;
  const handles = saves.map((tensor) => tensor?.alias({ scoped: false }));
  const saved = handles.filter((tensor) => tensor !== undefined);
  const versions = saved.map(({ storage }) => storage.version);
  const node = new Node(name, {
    inputs: inputs.map((input) => input?.edge),
    outputCount: outputs.length,
    saved,
    ...(parts ? { parts } : {}),
    vjp: (call) => {
      const changed = saved.find((t, i) => t.storage.changedSince(versions[i]!, t.offset, lastOf(t)));
      if (changed)
        throw new GradientError(
          `backward: "${name}" needs a tensor [${changed.shape}] as it was, but it was changed in place since; change it after the backward pass, or change a copy, identity(x)`,
        );
      return vjp({ ...call, saved: handles });
    },
  });
  outputs.forEach((tensor, output) => {
    if (tensor.dtype === "f32") tensor.attach({ node, output });
  });
}
