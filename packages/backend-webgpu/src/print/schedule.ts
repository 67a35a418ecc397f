import { sizeOf } from "@dfine/tensor";
import { type Kernel, type Launch, scatters } from "@dfine/tensor/kernel";
import type { Nest } from "./layout.ts";

/**
 * How threads share a kernel: each workgroup takes `rows` rows with `lanes` threads each. One lane is a thread per row (or
 * element); more lanes fold together in a fixed tree.
 */
export interface Schedule {
  readonly rows: number;
  readonly lanes: number;
  /** Whether the innermost axis goes by four. */
  readonly quads: boolean;
  /** One thread takes all rows in order, since no atomics may decide the order of a scatter's sums. */
  readonly ordered: boolean;
}

export const scheduleText = ({ rows, lanes, quads, ordered }: Schedule): string =>
  ordered ? "ordered" : `${rows}×${lanes}${quads ? " by 4" : ""}`;

/** Rows of a workgroup with a thread for each; fewer for few rows in software, since workgroups are what its threads share. */
const ROWS = 64;
const FEW_ROWS = 16;
const SHORT = 64;
const LONGEST = 4096;
/** From this many rows on there is a thread for every one, and no gain in sharing. */
const MANY_ROWS = 1 << 15;

/** Chooses by kernel and sizes alone, so that the same shapes always give the same bits. */
export function chooseSchedule(
  kernel: Kernel,
  { nest, sizes, barriers, quads }: { nest: Nest; sizes: Launch["sizes"]; barriers: boolean; quads: boolean },
): Schedule {
  const share = (rows: number, lanes: number): Schedule => ({ rows, lanes, quads, ordered: false });
  if (scatters(kernel)) return { ...share(1, 1), ordered: true };
  const count = (axes: readonly number[]): number => sizeOf(axes.map((axis) => sizes[axis]!));
  const [rows, length] = [count(nest.rows), count(nest.loops)];
  if (nest.loops.length === 0) return share(ROWS, 1);
  if (!barriers) return share(rows >= 4096 ? ROWS : FEW_ROWS, 1);
  if (length <= SHORT || rows >= MANY_ROWS) return share(ROWS, 1);
  // Neighbouring threads read neighbouring rows.
  if (liesAcross(kernel, nest)) return share(16, 16);
  return share(1, length >= LONGEST ? 256 : 64);
}

/** Whether reading operands are next to each other from row to row, and not along the row. */
function liesAcross(kernel: Kernel, { rows, loops }: Nest): boolean {
  const reads = kernel.operands.filter((operand) => operand.mode !== "write" && !operand.indexed);
  const unitOn = (axes: readonly number[]): boolean =>
    reads.some((operand) => axes.some((axis) => operand.walk[axis] === "unit"));
  return unitOn(rows) && !unitOn(loops);
}

/**
 * Shares `lanes` threads among the loop axes, the innermost first: thread t takes index (t >> shift) & mask of an axis, and
 * every mask + 1 from there.
 */
export function laneSplit(
  nest: Nest,
  sizes: Launch["sizes"],
  { lanes, quads }: { lanes: number; quads: boolean },
): Map<number, { shift: number; mask: number }> {
  const split = new Map<number, { shift: number; mask: number }>();
  let shift = 0;
  for (const axis of [...nest.loops].reverse()) {
    const most = lanes >> shift;
    let share = 1;
    const steps = sizes[axis]! / (quads && axis === nest.innermost ? 4 : 1);
    // The last axis takes all lanes that are left: those beyond its end find nothing to do, instead of the same again.
    while (share < most && (share < steps || axis === nest.loops[0])) share *= 2;
    split.set(axis, { shift, mask: share - 1 });
    shift += Math.log2(share);
  }
  return split;
}
