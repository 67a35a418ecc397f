import { isLeaf } from "../autograd/node.ts";
import { GradientError, OwnershipError, ShapeError } from "../errors.ts";
import { broadcastsTo, shapeText } from "../shape.ts";
import type { Layout, Tensor } from "../tensor.ts";

/**
 * What comes last before `targets` are written in place: a backward pass that saved their old elements will know.
 * @throws GradientError, ShapeError unless they may be written: no recorded results, each element once
 */
export function openTargets(op: string, ...targets: readonly Tensor[]): void {
  for (const target of targets) {
    if (target.edge && !isLeaf(target.edge))
      throw new GradientError(`${op}: a recorded result can't be changed in place; its gradient needs the old value`);
    if (target.size > 0 && target.strides.some((stride, axis) => stride === 0 && target.shape[axis]! > 1))
      throw new ShapeError(
        `${op}: the target ${shapeText(target.shape)} was expanded, so that several of its elements are one; write the tensor from before`,
      );
  }
  for (const target of targets) target.storage.change(target.offset, lastOf(target));
}

/** @throws ShapeError unless `source` broadcasts to the target's shape */
export function checkSource(op: string, source: Tensor, target: Tensor): void {
  if (!broadcastsTo(source.shape, target.shape))
    throw new ShapeError(
      `${op}: ${shapeText(source.shape)} does not broadcast to the target's ${shapeText(target.shape)}; sizes must be equal or 1`,
    );
}

/** @throws OwnershipError when a target shares elements with another tensor of the call */
export function checkApart(op: string, tensors: readonly Tensor[], targets: number): void {
  for (let i = 0; i < targets; i++)
    for (let k = i + 1; k < tensors.length; k++)
      if (shareElements(tensors[i]!, tensors[k]!))
        throw new OwnershipError(
          `${op}: input ${k + 1} shares elements with target ${i + 1}, which is being overwritten; pass identity(x), a copy`,
        );
}

/** The last element in the storage. */
export const lastOf = ({ shape, strides, offset }: Layout): number =>
  shape.reduce((last, n, axis) => last + (n - 1) * strides[axis]!, offset);

/** Whether two tensors have elements in common. Views of one storage whose ranges meet are compared element by element. */
export function shareElements(a: Tensor, b: Tensor): boolean {
  if (a.storage !== b.storage || a.size === 0 || b.size === 0) return false;
  const [from, to] = [Math.max(a.offset, b.offset), Math.min(lastOf(a), lastOf(b))];
  if (from > to) return false;
  const seen = new Uint8Array(to - from + 1);
  visit(a, 0, a.offset, (at) => {
    if (at >= from && at <= to) seen[at - from] = 1;
    return false;
  });
  return visit(b, 0, b.offset, (at) => seen[at - from] === 1);
}

/** Calls `found` with the place of every element, until it returns true. */
function visit(x: Tensor, axis: number, at: number, found: (at: number) => boolean): boolean {
  if (axis === x.rank) return found(at);
  for (let i = 0; i < x.shape[axis]!; i++) if (visit(x, axis + 1, at + i * x.strides[axis]!, found)) return true;
  return false;
}
