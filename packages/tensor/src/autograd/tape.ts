import { runtime } from "../runtime.ts";
import type { Tensor } from "../tensor.ts";

/** What a gradient function is given. Inputs and outputs that the op did not ask to save are undefined. */
export interface Backprop {
  /** Gradients of the outputs; undefined where nothing depends on an output. */
  readonly grads: readonly (Tensor | undefined)[];
  /** Which inputs want a gradient. */
  readonly needs: readonly boolean[];
}

/** Returns one gradient per input, shaped like it; undefined where none is needed. */
export type Vjp = (call: Backprop) => readonly (Tensor | undefined)[];

export interface Edge {
  readonly node: Node;
  readonly output: number;
}

let created = 0;

/** One recorded op. Counted by the live handles of its outputs and by the nodes that come after it. */
export class Node {
  readonly id = created++;
  readonly name: string;
  readonly inputs: readonly (Edge | undefined)[];
  readonly outputCount: number;
  /** A tensor without history that asked for a gradient. Its node holds no tensor but the gradient, so it can be collected. */
  readonly leaf: boolean;
  /** Accumulated gradient of a leaf. */
  grad: Tensor | undefined;
  vjp: Vjp | undefined;
  #saved: readonly Tensor[];
  #count = 0;

  constructor(
    name: string,
    options: {
      inputs?: readonly (Edge | undefined)[];
      outputCount?: number;
      leaf?: boolean;
      vjp?: Vjp;
      saved?: readonly Tensor[];
    },
  ) {
    this.name = name;
    this.inputs = options.inputs ?? [];
    this.outputCount = options.outputCount ?? 1;
    this.leaf = options.leaf ?? false;
    this.vjp = options.vjp;
    this.#saved = options.saved ?? [];
    for (const edge of this.inputs) edge?.node.retain();
  }

  retain(): void {
    this.#count++;
  }

  release(): void {
    if (--this.#count > 0 || this.leaf) return;
    this.forget();
    for (const edge of this.inputs) edge?.node.release();
  }

  /** Frees what was saved for the gradient, which then can't be computed again. */
  forget(): void {
    for (const tensor of this.#saved) tensor.dispose();
    this.#saved = [];
    this.vjp = undefined;
  }
}

/** Whether an op on `inputs` must be recorded. */
export const recordsGradient = (inputs: readonly (Tensor | undefined)[]): boolean =>
  runtime.gradientEnabled && inputs.some((input) => input?.edge !== undefined);

/** A handle for the tape: shares the storage, belongs to no scope, has no history. */
export const saveForBackward = (tensor: Tensor): Tensor => tensor.alias({ scoped: false });

/** Attaches a node to `outputs` (those of dtype f32), so that `backward` can reach `inputs`. */
export function record(
  name: string,
  outputs: readonly Tensor[],
  options: { inputs: readonly (Tensor | undefined)[]; saved: readonly Tensor[]; vjp: Vjp },
): void {
  const node = new Node(name, {
    inputs: options.inputs.map((input) => input?.edge),
    outputCount: outputs.length,
    saved: options.saved,
    vjp: options.vjp,
  });
  outputs.forEach((tensor, output) => {
    if (tensor.dtype === "f32") tensor.attach({ node, output });
  });
}
