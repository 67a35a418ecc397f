import { axesOf, type Kernel, type Launch } from "@dfine/tensor/kernel";
import type { GpuBuffer } from "../memory/gpuBuffer.ts";
import type { Fold } from "./folds.ts";

/** What a kernel's sums are of: for each the operands that are read and written. */
const known = new WeakMap<Kernel, readonly (readonly [from: number, to: number])[] | undefined>();

function sumsOf(kernel: Kernel): readonly (readonly [from: number, to: number])[] | undefined {
  const { operands, stages } = kernel;
  const store = stages.at(-1);
  const reduces = stages.slice(0, -1);
  if (store?.kind !== "store" || !store.perRow || store.writes.length !== reduces.length) return undefined;
  if (axesOf(kernel, "map").length > 1 || axesOf(kernel, "reduce").length !== 1 || reduces.length === 0)
    return undefined;
  if (operands.some(({ dtype, indexed, mode }) => dtype !== "f32" || indexed || mode === "update")) return undefined;
  const sums: (readonly [number, number])[] = [];
  for (const { operand, expr } of store.writes) {
    const reduce = expr.op === "row" ? reduces[expr.value] : undefined;
    if (reduce?.kind !== "reduce" || reduce.op !== "sum") return undefined;
    const { op, args, value } = reduce.expr;
    if (op !== "load" || args.length > 0) return undefined;
    sums.push([value, operand]);
  }
  // Columns that are neighbours in memory; or only one, whose parts are.
  const [map] = axesOf(kernel, "map");
  const [reduced] = axesOf(kernel, "reduce") as [number];
  const lies = sums.every(([from, to]) =>
    map === undefined
      ? operands[from]!.walk[reduced] === "unit"
      : operands[from]!.walk[map] === "unit" && operands[to]!.walk[map] === "unit",
  );
  return lies ? sums : undefined;
}

/** The folds that a launch is, if it does nothing but add rows of a matrix: the sums of biases' gradients. */
export function addedRows(kernel: Kernel, { sizes, operands }: Launch): readonly Fold[] | undefined {
  if (!known.has(kernel)) known.set(kernel, sumsOf(kernel));
  const sums = known.get(kernel);
  const block = (operand: number) => (operands[operand]!.buffer as GpuBuffer).block;
  if (!sums || sums.some(([from]) => sums.some(([, to]) => block(from) === block(to)))) return undefined;
  const [map] = axesOf(kernel, "map");
  const [reduced] = axesOf(kernel, "reduce") as [number];
  return sums.map(([from, to]) => ({
    from: { buffer: operands[from]!.buffer as GpuBuffer, offset: operands[from]!.offset },
    to: { buffer: operands[to]!.buffer as GpuBuffer, offset: operands[to]!.offset },
    columns: map === undefined ? 1 : sizes[map]!,
    parts: sizes[reduced]!,
    partStep: operands[from]!.strides[reduced]!,
  }));
}
