import type { Backend, Binding } from "../backend.ts";
import { memo } from "../memo.ts";
import { runtime } from "../runtime.ts";
import { contiguousStrides, sizeOf } from "../shape.ts";
import { load, row } from "./expr.ts";
import type { ReduceStage } from "./kernel.ts";
import { type Layout, plan } from "./plan.ts";
import { foldProgram, type Program } from "./program.ts";

/** Plans and runs a program. A long reduction into few rows is cut first, so that rows can be shared among threads. */
export function launch(backend: Backend, program: Program, layout: Layout, params: readonly number[] = []): void {
  if (
    layout.mapSizes.includes(0) ||
    (layout.reduceSizes.includes(0) && program.stages.every((s) => s.kind !== "reduce"))
  )
    return;
  const cut = cutFor(program, layout);
  if (cut) runInParts(backend, program, { layout, params, cut });
  else runPlanned(backend, program, layout, params);
}

function runPlanned(backend: Backend, program: Program, layout: Layout, params: readonly number[]): void {
  const { kernel, launch: call } = plan(program, layout, params);
  runtime.trace?.({ op: program.name, kernel, shapes: [layout.mapSizes, layout.reduceSizes] });
  backend.run(kernel, call);
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

function runInParts(
  backend: Backend,
  program: Program,
  { layout, params, cut }: { layout: Layout; params: readonly number[]; cut: Cut },
): void {
  const { mapSizes, reduceSizes, operands } = layout;
  const rank = mapSizes.length;
  const length = sizeOf(mapSizes) * cut.parts;
  const buffer = backend.alloc(length, cut.reduce.expr.dtype);
  const strides = contiguousStrides([...mapSizes, cut.parts]);
  const partial: Binding = { buffer, offset: 0, length, strides: [...strides, ...reduceSizes.map(() => 0)] };
  const inner = reduceSizes.map((size, axis) => (axis === cut.axis ? size / cut.parts : size));
  const result = operands.length - 1;
  const cutStrides = (whole: readonly number[]): number[] => {
    const toNextPart = whole[rank + cut.axis]! * inner[cut.axis]!;
    return [...whole.slice(0, rank), toNextPart, ...whole.slice(rank)];
  };
  const cutOperands = operands.map((binding, i) =>
    i === result ? partial : { ...binding, strides: cutStrides(binding.strides) },
  );
  const inParts = { mapSizes: [...mapSizes, cut.parts], reduceSizes: inner, operands: cutOperands };
  runPlanned(backend, program, inParts, params);
  const target = operands[result]!;
  const whole = { ...target, strides: [...target.strides.slice(0, rank), 0] };
  const folded = { mapSizes, reduceSizes: [cut.parts], operands: [{ ...partial, strides }, whole] };
  runPlanned(backend, partsProgram(cut.reduce), folded, []);
  backend.free(buffer);
}
