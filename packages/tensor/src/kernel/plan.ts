import { memo } from "../memo.ts";
import type { Kernel, Walk } from "./kernel.ts";
import type { Program } from "./program.ts";

/** What a program is laid over: sizes of the map axes and of the reduced ones, and each operand's stride along each of them. */
export interface Layout {
  readonly mapSizes: readonly number[];
  readonly reduceSizes: readonly number[];
  readonly strides: readonly (readonly number[])[];
}

/** A kernel, sizes of its axes, and each operand's strides along them. */
export interface Plan {
  readonly kernel: Kernel;
  readonly sizes: readonly number[];
  readonly strides: readonly (readonly number[])[];
}

interface Axis {
  readonly kind: "map" | "reduce";
  size: number;
  /** One stride per operand. */
  strides: number[];
}

const WALK_LETTER: Record<Walk, string> = { unit: "u", still: ".", stride: "s" };

const kernels = new Map<Program, Map<string, Kernel>>();
const kernelsByKey = new Map<string, Kernel>();

/** Distinct kernels planned so far. Stands still once a training loop has seen its layouts, whatever the sizes. */
export const kernelCount = (): number => kernelsByKey.size;

/**
 * Merges neighbouring axes that every operand walks alike, orders the rest by memory, and finds the kernel for the walks
 * that remain. A contiguous elementwise op of any rank becomes one unit axis.
 */
export function plan(program: Program, layout: Layout): Plan {
  const axes = program.usesAxes ? axesOf(layout) : simplify(axesOf(layout), program);
  const walks = program.operands.map((operand, i) =>
    axes.map((axis): Walk => {
      const stride = axis.strides[i]!;
      return operand.indexed || stride === 0 ? "still" : stride === 1 ? "unit" : "stride";
    }),
  );
  return {
    kernel: kernelFor(program, { kinds: axes.map((axis) => axis.kind), walks }),
    sizes: axes.map((axis) => axis.size),
    strides: layout.strides.map((_, i) => axes.map((axis) => axis.strides[i]!)),
  };
}

function axesOf({ mapSizes, reduceSizes, strides }: Layout): Axis[] {
  return [...mapSizes, ...reduceSizes].map((size, axis) => ({
    kind: axis < mapSizes.length ? "map" : "reduce",
    size,
    strides: strides.map((own) => (size === 1 ? 0 : own[axis]!)),
  }));
}

function simplify(axes: Axis[], program: Program): Axis[] {
  const written = program.operands.findIndex((operand) => operand.mode !== "read");
  const largestFirst = (kind: Axis["kind"], leader: number): Axis[] =>
    axes
      .filter((axis) => axis.kind === kind && axis.size !== 1)
      .sort((a, b) => Math.abs(b.strides[leader]!) - Math.abs(a.strides[leader]!));
  return merge([...largestFirst("map", Math.max(written, 0)), ...largestFirst("reduce", 0)]);
}

function merge(axes: readonly Axis[]): Axis[] {
  const merged: Axis[] = [];
  for (const axis of axes) {
    const outer = merged.at(-1);
    if (outer?.kind === axis.kind && axis.strides.every((stride, i) => outer.strides[i] === stride * axis.size)) {
      outer.size *= axis.size;
      outer.strides = axis.strides;
    } else merged.push({ ...axis });
  }
  return merged;
}

function kernelFor(
  program: Program,
  pattern: { kinds: readonly ("map" | "reduce")[]; walks: readonly Walk[][] },
): Kernel {
  const text = `${pattern.kinds.map((kind) => kind[0]).join("")}:${pattern.walks.map((walk) => walk.map((w) => WALK_LETTER[w]).join("")).join()}`;
  const known = memo(kernels, program, () => new Map<string, Kernel>());
  return memo(known, text, () => {
    const key = `${program.key}|${text}`;
    return memo(kernelsByKey, key, () => ({
      ...program,
      key,
      axes: pattern.kinds,
      operands: program.operands.map((operand, i) => ({ ...operand, walk: pattern.walks[i]! })),
    }));
  });
}
