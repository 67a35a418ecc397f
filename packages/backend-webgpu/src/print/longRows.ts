import { sizeOf } from "@dfine/tensor";
import {
  axesOf,
  type Binding,
  type Kernel,
  type Launch,
  loadsIn,
  memo,
  postorder,
  type ReduceStage,
  type StoreStage,
  scatters,
  stageExpressions,
} from "@dfine/tensor/kernel";
import type { GpuBuffer } from "../memory/gpuBuffer.ts";
import type { Pool } from "../memory/pool.ts";
import type { Launcher } from "./launch.ts";
import { PARTS, Parting, type Pass } from "./longRowPasses.ts";

/** Elements of a row from which on many workgroups share it, where rows are fewer than what keeps a GPU busy. */
const LONG = 1 << 15;

interface LongRowsOptions {
  readonly launcher: Launcher;
  readonly pool: Pick<Pool, "alloc" | "free">;
  readonly busyGroups: number;
}

/** A kernel as passes over many workgroups. */
interface Passes {
  readonly passes: readonly Pass[];
  readonly rows: number;
  readonly reduces: number;
}

/**
 * Runs few long rows by many workgroups: what reductions give for each part of the rows goes to memory, a pass for those that need
 * no other's result; then the parts are folded in their order, once for each row; then elements are stored. Batch norm is such a
 * kernel, with its activation and what else is joined with it.
 */
export function longRows({ launcher, pool, busyGroups }: LongRowsOptions): Launcher {
  const known = new WeakMap<object, { readonly passes: Passes | undefined }>();
  const find = (kernel: Kernel, launch: Launch): Passes | undefined => {
    const { alike } = launch;
    return alike && memo(known, alike, () => ({ passes: passesOf(kernel, launch, busyGroups) })).passes;
  };
  const each = ({ passes, rows, reduces }: Passes, launch: Launch, use: (pass: Pass, part: Launch) => void): void => {
    // For each reduction its parts, and behind them what they are together.
    const results = Array.from({ length: reduces }, () => pool.alloc((PARTS + 1) * rows, "f32"));
    for (const pass of passes) use(pass, bindPass(pass, launch, { results, rows }));
    for (const buffer of results) pool.free(buffer);
  };
  return {
    run(kernel, launch) {
      const passes = find(kernel, launch);
      if (passes) each(passes, launch, (pass, part) => launcher.run(pass.kernel, part));
      else launcher.run(kernel, launch);
    },
    orderOf(kernel, launch) {
      const passes = find(kernel, launch);
      if (!passes) return launcher.orderOf(kernel, launch);
      const orders: string[] = [];
      each(passes, launch, (pass, part) => {
        const rows = axesOf(pass.kernel, "reduce").map((axis) => `${part.sizes[axis]} at ${furthest(part, axis)}`);
        const results = writtenBy(pass);
        for (const [i, order] of launcher.orderOf(pass.kernel, part).entries())
          orders[results[i]!] = `parts of ${rows}, ${order}`;
      });
      return orders;
    },
  };
}

/** The reductions whose parts a pass writes. */
const writtenBy = ({ kernel, bound }: Pass): number[] =>
  bound.flatMap((source, i) => ("reduce" in source && kernel.operands[i]!.mode !== "read" ? [source.reduce] : []));

/** The longest step along an axis. */
const furthest = ({ operands }: Launch, axis: number): number =>
  operands.reduce((most, { strides }) => Math.max(most, Math.abs(strides[axis]!)), 0);

function bindPass(
  pass: Pass,
  { operands, params }: Launch,
  { results, rows }: { results: readonly GpuBuffer[]; rows: number },
): Launch {
  const bind = (source: Pass["bound"][number]): Binding => {
    const { strides } = source;
    if ("operand" in source) {
      const { buffer, offset, length } = operands[source.operand]!;
      return { buffer, offset, strides, length };
    }
    const offset = (source.part < 0 ? PARTS : source.part) * rows;
    const buffer = results[source.reduce]!;
    return { buffer, offset, strides, length: buffer.length - offset };
  };
  return { sizes: pass.sizes, operands: pass.bound.map(bind), params, alike: pass };
}

function passesOf(kernel: Kernel, { sizes, operands }: Launch, busyGroups: number): Passes | undefined {
  const { axes, stages } = kernel;
  const reduces = stages.filter((stage): stage is ReduceStage => stage.kind === "reduce");
  const stores = stages.filter((stage): stage is StoreStage => stage.kind === "store");
  const size = (kind: "map" | "reduce"): number => sizeOf(sizes.filter((_, axis) => axes[axis] === kind));
  const [rows, length] = [size("map"), size("reduce")];
  if (rows >= busyGroups || length < LONG || reduces.length === 0 || !mayPart(kernel, { reduces, stores }))
    return undefined;
  const cut = sizes.reduce((best, n, axis) => {
    const isBetter = axes[axis] === "reduce" && n % PARTS === 0 && n > (sizes[best] ?? 0);
    return isBetter ? axis : best;
  }, -1);
  if (cut < 0) return undefined;
  return {
    passes: new Parting(kernel, { sizes, operands, cut }).passes(reduces, stores),
    rows,
    reduces: reduces.length,
  };
}

/** Whether all reductions are float sums that come before all stores, and no store needs what is overwritten once per row before. */
function mayPart(
  kernel: Kernel,
  { reduces, stores }: { reduces: readonly ReduceStage[]; stores: readonly StoreStage[] },
): boolean {
  const { stages, operands } = kernel;
  const each = stores.filter(({ perRow }) => !perRow);
  const once = stores.filter(({ perRow }) => perRow);
  const usesAxes = postorder(stages.flatMap(stageExpressions)).some(({ op }) => op === "axis");
  const isOrdered = stages.slice(0, reduces.length).every(({ kind }) => kind === "reduce");
  const areSums = reduces.every(({ op, expr }) => op === "sum" && expr.dtype === "f32");
  const isPlain = !usesAxes && !scatters(kernel) && operands.every(({ indexed }) => !indexed);
  const sees = (store: StoreStage, before: readonly StoreStage[]): boolean => {
    const loads = loadsIn(stageExpressions(store));
    return before.some(({ writes }) => writes.some(({ operand }) => loads.has(operand)));
  };
  const seesRows = each.some((store) => sees(store, once)) || once.some((store, i) => sees(store, once.slice(0, i)));
  return isOrdered && areSums && isPlain && each.length === 1 && !seesRows;
}
