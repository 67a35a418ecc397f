import { sizeOf } from "@dfine/tensor";
import type { Kernel, Launch } from "@dfine/tensor/kernel";
import type { Nest } from "./layout.ts";

/**
 * How threads share a kernel. `rows`: each workgroup takes `rows` rows with `lanes` threads each; one lane is a thread per
 * row (or element), more lanes fold together in a fixed tree; with `quads`, the innermost axis goes by four. `ordered`: one
 * thread takes everything in order, since no atomics may decide the order of a scatter's sums.
 */
export type Schedule =
  | { readonly kind: "rows"; readonly rows: number; readonly lanes: number; readonly quads: boolean }
  | { readonly kind: "ordered" };

export const scheduleText = (schedule: Schedule): string =>
  schedule.kind === "ordered" ? "ordered" : `${schedule.rows}×${schedule.lanes}${schedule.quads ? " by 4" : ""}`;

const ELEMENTS: Schedule = { kind: "rows", rows: 64, lanes: 1, quads: false };
/** For software: few rows per workgroup, since workgroups are what its threads share. */
const FEW_ROWS: Schedule = { kind: "rows", rows: 16, lanes: 1, quads: false };
const LONG_ROWS: Schedule = { kind: "rows", rows: 1, lanes: 64, quads: false };
const LONGEST_ROWS: Schedule = { kind: "rows", rows: 1, lanes: 256, quads: false };
/** For rows that lie across memory: neighbouring threads read neighbouring rows. */
const COLUMNS: Schedule = { kind: "rows", rows: 16, lanes: 16, quads: false };
const ORDERED: Schedule = { kind: "ordered" };

const SHORT = 64;
const LONGEST = 4096;
/** From this many rows on there is a thread for every one, and no gain in sharing. */
const MANY_ROWS = 1 << 15;

/** Chooses by kernel and sizes alone, so that the same shapes always give the same bits. */
export function chooseSchedule(
  kernel: Kernel,
  { nest, sizes, barriers, quads }: { nest: Nest; sizes: Launch["sizes"]; barriers: boolean; quads: boolean },
): Schedule {
  const schedule = shareRows(kernel, { nest, sizes, barriers });
  return schedule.kind === "rows" && quads ? { ...schedule, quads } : schedule;
}

function shareRows(
  kernel: Kernel,
  { nest, sizes, barriers }: { nest: Nest; sizes: Launch["sizes"]; barriers: boolean },
): Schedule {
  if (kernel.stages.some((stage) => stage.kind === "scatter")) return ORDERED;
  if (nest.loops.length === 0) return ELEMENTS;
  const count = (axes: readonly number[]): number => sizeOf(axes.map((axis) => sizes[axis]!));
  const [rows, length] = [count(nest.rows), count(nest.loops)];
  if (!barriers) return rows >= 4096 ? ELEMENTS : FEW_ROWS;
  if (length <= SHORT || rows >= MANY_ROWS) return ELEMENTS;
  if (liesAcross(kernel, nest)) return COLUMNS;
  return length >= LONGEST ? LONGEST_ROWS : LONG_ROWS;
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
