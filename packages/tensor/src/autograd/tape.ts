import { GradientError } from "../errors.ts";
import { lastOf } from "../ops/inPlace.ts";
import { runtime } from "../runtime.ts";
import type { Tensor } from "../tensor.ts";
import { type Backprop, Node, type Parts, type Vjp } from "./node.ts";

/** Whether an op on `inputs` must be recorded. */
export function recordsGradient(inputs: readonly (Tensor | undefined)[]): boolean {
  if (runtime.gradientEnabled) for (const input of inputs) if (input?.edge !== undefined) return true;
  return false;
}

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
  const saved: Tensor[] = [];
  const versions: number[] = [];
  for (const tensor of handles) if (tensor) versions[saved.push(tensor) - 1] = tensor.storage.version;
  const node = new Node(name, {
    inputs: inputs.map((input) => input?.edge),
    outputCount: outputs.length,
    saved,
    ...(parts ? { parts } : {}),
    vjp: ({ grads, needs, into }) => {
      for (let i = 0; i < saved.length; i++) if (isChanged(saved[i]!, versions[i]!)) throw changed(name, saved[i]!);
      return vjp({ grads, needs, into, saved: handles });
    },
  });
  outputs.forEach((tensor, output) => {
    if (tensor.dtype === "f32") tensor.attach({ node, output });
  });
}

const isChanged = (tensor: Tensor, version: number): boolean =>
  tensor.storage.version !== version && tensor.storage.changedSince(version, tensor.offset, lastOf(tensor));

const changed = (name: string, { shape }: Tensor): GradientError =>
  new GradientError(
    `backward: "${name}" needs a tensor [${shape}] as it was, but it was changed in place since; change it after the backward pass, or change a copy, identity(x)`,
  );
