import type { Dtype } from "../dtype.ts";
import { load } from "../kernel/expr.ts";
import { foldProgram } from "../kernel/program.ts";
import { broadcastAxes, type Shape, sameShape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { empty, launchOver } from "./result.ts";

/** Of one tensor, and of two. */
const programs = [1, 2].map((count) =>
  foldProgram("sumTo", {
    inputs: new Array<Dtype>(count).fill("f32"),
    folds: Array.from({ length: count }, (_, i) => ["sum", load(i)] as const),
  }),
);

/** A tensor to be summed to a shape, `into` a place if there is one. */
export interface Summed {
  readonly x: Tensor;
  readonly shape: Shape;
  readonly into: Tensor | undefined;
}

/** Sums x over the axes along which a tensor of `shape` was repeated to give x's shape. Not recorded: for gradients. */
export const sumTo = (x: Tensor, shape: Shape, into?: Tensor): Tensor => sumAll([{ x, shape, into }])[0]!;

/** `sumTo` of several, two that are alike in one kernel. */
export function sumAll(all: readonly Summed[]): Tensor[] {
  const results = all.map(({ x }) => x);
  let before: number | undefined;
  for (const [i, { x, shape, into }] of all.entries()) {
    if (sameShape(x.shape, shape)) continue;
    results[i] = into ?? empty(x.backend, shape, "f32");
    if (before !== undefined && areAlike(all[before]!, all[i]!)) {
      run([all[before]!, all[i]!], [results[before]!, results[i]!]);
      before = undefined;
    } else {
      if (before !== undefined) run([all[before]!], [results[before]!]);
      before = i;
    }
  }
  if (before !== undefined) run([all[before]!], [results[before]!]);
  return results;
}

/** Longer sums into few elements are cut by themselves, to be shared among threads. */
const LONG = 1 << 15;

const areAlike = (a: Summed, b: Summed): boolean =>
  sameShape(a.x.shape, b.x.shape) && sameShape(a.shape, b.shape) && sizeOf(a.x.shape) < LONG * sizeOf(a.shape);

function run(summed: readonly Summed[], outputs: readonly Tensor[]): void {
  const [{ x, shape }] = summed as [Summed];
  const extent = { shape: x.shape, reduced: broadcastAxes(shape, x.shape) };
  launchOver(programs[summed.length - 1]!, extent, { tensors: [...summed.map((s) => s.x), ...outputs] });
}
