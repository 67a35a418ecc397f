import { GradientError } from "../errors.ts";
import { lastOf } from "../ops/inPlace.ts";
import { runtime } from "../runtime.ts";
import type { Tensor } from "../tensor.ts";
import { Node, type Parts, type Vjp } from "./node.ts";

/** Whether an op on `inputs` must be recorded. */
export function recordsGradient(inputs: readonly (Tensor | undefined)[]): boolean {
  if (!runtime.gradientEnabled) return false;
  for (let i = 0; i < inputs.length; i++) if (inputs[i]?.edge !== undefined) return true;
  return false;
}

interface Recording {
  readonly inputs: readonly (Tensor | undefined)[];
  readonly saves?: readonly (Tensor | undefined)[];
  /** Of views. */
  readonly parts?: Parts<Tensor> | undefined;
  readonly vjp: Vjp<Tensor>;
}

const UNSCOPED = { scoped: false } as const;

/**
 * Attaches a node to `outputs` (those of dtype f32) where a gradient is wanted, so that `backward` can reach `inputs`. What an
 * op `saves` is held for its `vjp`, as handles that belong to no scope and have no history, and may not be changed in place
 * before: `backward` throws a GradientError then.
 */
export function record(name: string, outputs: readonly Tensor[], { inputs, saves = [], parts, vjp }: Recording): void {
  if (!recordsGradient(inputs)) return;
  const saved = saves.map((tensor) => tensor?.alias(UNSCOPED));
  const node = new Node<Tensor>(name, {
    inputs: inputs.map((input) => input?.edge),
    outputCount: outputs.length,
    saved,
    versions: saved.map((tensor) => tensor?.storage.version ?? 0),
    parts,
    vjp,
  });
  for (let output = 0; output < outputs.length; output++)
    if (outputs[output]!.dtype === "f32") outputs[output]!.attach({ node, output });
}

/** @throws GradientError when what a node has saved was changed in place since */
export function checkSaved({ name, saved, versions }: Node<Tensor>): void {
  for (let i = 0; i < saved.length; i++) {
    const tensor = saved[i];
    if (tensor && isChanged(tensor, versions[i]!)) throw changed(name, tensor);
  }
}

const isChanged = (tensor: Tensor, version: number): boolean =>
  tensor.storage.version !== version && tensor.storage.changedSince(version, tensor.offset, lastOf(tensor));

const changed = (name: string, { shape }: Tensor): GradientError =>
  new GradientError(
    `backward: "${name}" needs a tensor [${shape}] as it was, but it was changed in place since; change it after the backward pass, or change a copy, identity(x)`,
  );
