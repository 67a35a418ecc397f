import type { Launch } from "../../backend.ts";
import { axesOf, type Kernel } from "../kernel.ts";

/** A launch of a kernel that is joined with others, and which operand of those together each of its own is. */
export interface Part {
  readonly kernel: Kernel;
  readonly launch: Launch;
  readonly places: readonly number[];
}

/** How each of a kernel's reductions forms its result, as text. */
export type OrderOf = (kernel: Kernel, launch: Launch) => readonly string[];

/**
 * Whether reductions give the same bits together as alone: elements along a row come in the same order, and the backend
 * forms sums the same way.
 */
export function keepsSums(joint: Omit<Part, "places">, parts: readonly Part[], orderOf: OrderOf): boolean {
  const ordered = parts.filter(({ kernel }) => sumsOf(kernel).some(Boolean));
  if (!ordered.every((part) => isRowAlike(joint, part))) return false;
  const orders = ({ kernel, launch }: typeof joint): string[] => {
    const isSum = sumsOf(kernel);
    return orderOf(kernel, launch).filter((_, i) => isSum[i]);
  };
  const alone = ordered.flatMap(orders);
  const together = ordered.length > 0 ? orders(joint) : [];
  return together.length === alone.length && together.every((order, i) => order === alone[i]);
}

/** Which of a kernel's reductions depend on their order. */
const sumsOf = ({ stages }: Kernel): boolean[] =>
  stages.flatMap((stage) => (stage.kind === "reduce" ? [stage.op === "sum" && stage.expr.dtype === "f32"] : []));

/** Whether rows have the same axes in the same order: a part's operands walk along them as they do alone. */
function isRowAlike(joint: Omit<Part, "places">, { kernel, launch, places }: Part): boolean {
  const [own, others] = [axesOf(kernel, "reduce"), axesOf(joint.kernel, "reduce")];
  const isAlike = (axis: number, i: number): boolean =>
    launch.sizes[axis] === joint.launch.sizes[others[i]!] &&
    places.every((place, k) => launch.operands[k]!.strides[axis] === joint.launch.operands[place]!.strides[others[i]!]);
  return own.length === others.length && own.every(isAlike);
}
