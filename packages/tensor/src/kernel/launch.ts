import type { Backend, Binding, Slice } from "../backend.ts";
import { memo, NumbersMemo } from "../memo.ts";
import { runtime } from "../runtime.ts";
import { contiguousStrides, sizeOf } from "../shape.ts";
import { load, row } from "./expr.ts";
import type { ReduceStage } from "./kernel.ts";
import { type Laid, layoutOf } from "./laid.ts";
import { type Layout, plan } from "./plan.ts";
import { foldProgram, type Program } from "./program.ts";

/** Where a program runs: sizes of the map axes and of the reduced ones, and operands with a stride for each of them. */
export interface Place extends Omit<Layout, "strides"> {
  readonly operands: readonly Binding[];
}

/** Plans and runs a program. */
export function launch(
  backend: Backend,
  program: Program,
  { operands, ...sizes }: Place,
  params: readonly number[] = [],
): void {
  const strides = operands.map((operand) => operand.strides);
  const key = [program.number, sizes.mapSizes, sizes.reduceSizes, ...strides];
  prepared.get(key, () => prepare(program, { ...sizes, strides }))(backend, operands, params);
}

/** More than a step of the largest model prepares, whatever its number of queries. */
export const MOST_PREPARED = 1 << 13;
const prepared = new NumbersMemo<Prepared>(MOST_PREPARED);

/** Runs a program on operands that lie as its layout says. */
export type Prepared = (backend: Backend, operands: readonly Slice[], params: readonly number[]) => void;

/** A program over a shape, planned: see `prepare`. */
export const prepareLaid = (laid: Laid): Prepared => prepare(laid.program, layoutOf(laid), laid);

/** Plans a program. A long reduction into few rows is cut, so that rows can be shared among threads. */
function prepare(program: Program, layout: Layout, laid?: Laid): Prepared {
  const { mapSizes, reduceSizes } = layout;
  if (mapSizes.includes(0) || (reduceSizes.includes(0) && program.stages.every((s) => s.kind !== "reduce")))
    return () => {};
  const cut = cutFor(program, layout);
  return cut ? inParts(program, layout, cut) : planned(program, layout, laid);
}

function planned(program: Program, layout: Layout, laid?: Laid): Prepared {
  const alike = { ...plan(program, layout), ...(laid && { laid }) };
  const { kernel, sizes, strides } = alike;
  const shapes = [layout.mapSizes, layout.reduceSizes];
  return (backend, slices, params) => {
    runtime.trace?.({ op: program.name, kernel, shapes });
    const operands = slices.map(({ buffer, offset, length }, i) => ({ buffer, offset, length, strides: strides[i]! }));
    backend.run(kernel, { sizes, operands, params, alike });
  };
}

// Below these sizes one thread is done before a second one has started.
const FEW_ROWS = 16;
const LONG_REDUCTION = 1 << 15;
const MOST_PARTS = 64;

interface Cut {
  readonly reduce: ReduceStage;
  readonly axis: number;
  readonly parts: number;
}

/** Where to cut a single long reduction. It depends on shapes alone, so results don't depend on threads. */
function cutFor(program: Program, { mapSizes, reduceSizes }: Layout): Cut | undefined {
  const [reduce, store] = program.stages;
  if (program.usesAxes || program.stages.length !== 2 || reduce?.kind !== "reduce" || store?.kind !== "store")
    return undefined;
  if (!store.perRow || store.writes.length !== 1 || store.writes[0]!.expr !== row(0)) return undefined;
  if (sizeOf(mapSizes) > FEW_ROWS || sizeOf(reduceSizes) < LONG_REDUCTION) return undefined;
  let best: Cut | undefined;
  reduceSizes.forEach((size, axis) => {
    const parts = largestDivisor(size, MOST_PARTS);
    if (parts > (best?.parts ?? 1)) best = { reduce, axis, parts };
  });
  return best;
}

function largestDivisor(n: number, limit: number): number {
  for (let d = Math.min(limit, n); d > 1; d--) if (n % d === 0) return d;
  return 1;
}

const refold = new Map<string, Program>();

/** The program that folds partial results, with the same reduction. */
const partsProgram = ({ op, expr: { dtype } }: ReduceStage): Program =>
  memo(refold, op + dtype, () => foldProgram(`${op}Parts`, { inputs: [dtype], folds: [[op, load(0, dtype)]] }));

function inParts(program: Program, { mapSizes, reduceSizes, strides }: Layout, cut: Cut): Prepared {
  const { dtype } = cut.reduce.expr;
  const rank = mapSizes.length;
  const cutSizes = [...mapSizes, cut.parts];
  const length = sizeOf(cutSizes);
  const inner = reduceSizes.map((size, axis) => (axis === cut.axis ? size / cut.parts : size));
  const partial = contiguousStrides(cutSizes);
  const [written, read] = [strides.at(-1)!, strides.slice(0, -1)];
  const reading = read.map((whole) => {
    const toNextPart = whole[rank + cut.axis]! * inner[cut.axis]!;
    return [...whole.slice(0, rank), toNextPart, ...whole.slice(rank)];
  });
  const fold = planned(program, {
    mapSizes: cutSizes,
    reduceSizes: inner,
    strides: [...reading, [...partial, ...reduceSizes.map(() => 0)]],
  });
  const join = planned(partsProgram(cut.reduce), {
    mapSizes,
    reduceSizes: [cut.parts],
    strides: [partial, [...written.slice(0, rank), 0]],
  });
  return (backend, operands, params) => {
    const buffer = backend.alloc(length, dtype);
    const parts = { buffer, offset: 0, length };
    fold(backend, [...operands.slice(0, -1), parts], params);
    join(backend, [parts, operands.at(-1)!], []);
    backend.free(buffer);
  };
}
