import { memo } from "../memo.ts";
import { isContiguous, sameShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { Edge, Seen, Node as TapeNode } from "./node.ts";

type Node = TapeNode<Tensor>;

/** Whether two tensors are the same elements in the same order. */
export const liesAt = (x: Tensor, place: Tensor): boolean =>
  x.storage === place.storage &&
  x.offset === place.offset &&
  sameShape(x.shape, place.shape) &&
  sameShape(x.strides, place.strides);

/** Whether a tensor's elements are all of its storage's that anyone reads, and lie together: a gradient may be written over them. */
export const isAlone = ({ storage, shape, strides }: Tensor): boolean =>
  !storage.isShared && isContiguous(shape, strides);

/** A place for what was seen as one for the view. */
export function seenPlace(seen: Seen<Tensor> | undefined, place: Tensor | undefined): Tensor | undefined {
  if (!seen || !place) return place;
  const before = seenPlace(seen.before, place);
  return before && seen.place(before);
}

/**
 * Where a backward pass has gradients written, so that they need not be copied there afterwards: a leaf's place, parts of one
 * for the pieces that a tensor was split into, and either as a view sees it (`seenPlace`). Each place is offered once.
 */
export class Places {
  /** By a node's id, one for each output. */
  readonly #offered = new Map<number, (Tensor | undefined)[]>();
  readonly #wholes = new Map<number, Tensor | undefined>();

  /** A place for the gradient that arrives next; undefined where there is none, or another gradient may lie there. */
  offer({ node, output }: Edge<Tensor>): Tensor | undefined {
    if (!node.parts && !node.place) return undefined;
    const offered = memo(this.#offered, node.id, () => []);
    if (output in offered) return undefined;
    offered[output] = this.#make(node, output);
    return offered[output];
  }

  #make(node: Node, output: number): Tensor | undefined {
    const { parts } = node;
    if (!parts) {
      if (node.isPlaceTaken || !node.place?.isLive) return undefined;
      node.isPlaceTaken = true;
      return node.place.alias();
    }
    const [input] = node.inputs;
    if (!this.#wholes.has(node.id))
      this.#wholes.set(node.id, input && (seenPlace(input.seen, this.offer(input)) ?? parts.whole?.()));
    const whole = this.#wholes.get(node.id);
    return whole && parts.partOf(whole, output);
  }

  /** Whether a gradient that arrived lies where it was wanted. */
  isIn(gradient: Tensor, { node, output }: Edge<Tensor>): boolean {
    const place = this.#offered.get(node.id)?.[output];
    return place !== undefined && liesAt(gradient, place);
  }

  /** Where gradients of a node's inputs are wanted. */
  into(node: Node): (Tensor | undefined)[] {
    if (node.parts) return [this.#wholes.get(node.id)];
    return node.inputs.map((edge) => edge && this.offer(edge));
  }

  /** Lets go of what was made for a node, whose gradients were handed on. */
  forget(node: Node): void {
    if (!node.parts) return;
    for (const place of this.#offered.get(node.id) ?? []) place?.dispose();
    this.#wholes.get(node.id)?.dispose();
    this.#offered.delete(node.id);
    this.#wholes.delete(node.id);
  }
}
