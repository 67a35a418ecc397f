import type { Layout } from "./plan.ts";
import type { Program } from "./program.ts";

/** A program over the axes of a shape, some of them reduced, as an op sees it: before axes are joined and ordered. */
export interface Laid {
  readonly program: Program;
  readonly shape: readonly number[];
  readonly reduced: readonly number[];
  /** Each operand's stride along each axis. */
  readonly strides: readonly (readonly number[])[];
}

/** The same with reduced axes last. */
export function layoutOf({ shape, reduced, strides }: Omit<Laid, "program">): Layout {
  const kept = shape.map((_, axis) => axis).filter((axis) => !reduced.includes(axis));
  const along = (order: readonly number[], list: readonly number[]): number[] => order.map((axis) => list[axis]!);
  return {
    mapSizes: along(kept, shape),
    reduceSizes: along(reduced, shape),
    strides: strides.map((own) => along([...kept, ...reduced], own)),
  };
}
