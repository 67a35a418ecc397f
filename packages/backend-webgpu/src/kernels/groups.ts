import { clear, dispatchElements, elementKernel } from "./elements.ts";
import type { GpuRuntime } from "./runtime.ts";
import type { BufferView } from "./wgslKernel.ts";

/** Positions 0 … count − 1 sorted by key, and those with key r from `starts[r]` to `ends[r]` of `order`, ascending. */
export interface Groups {
  readonly starts: BufferView;
  readonly ends: BufferView;
  readonly order: BufferView;
}

/** Groups whose room a thread of `PLACE` claims at a time. */
const PLACED = 16;

const COUNT = elementKernel({
  name: "groups.count",
  bindings: { keys: "read i32", sizes: "write atomic<i32>" },
  body: `
fn element(i: i32) {
  let key = keys[u.o_keys + i];
  if (u32(key) < u32(u.groups)) { atomicAdd(&sizes[u.o_sizes + key], 1); }
}`,
});

/** Gives each group room, wherever some is left: where it lies changes nothing. Sizes become places to fill. */
const PLACE = elementKernel({
  name: "groups.place",
  bindings: { sizes: "write atomic<i32>", starts: "write i32" },
  body: `
fn element(i: i32) {
  let last = min((i + 1) * ${PLACED}, u.groups);
  var total = 0;
  for (var group = i * ${PLACED}; group < last; group++) { total += atomicLoad(&sizes[u.o_sizes + group]); }
  var start = 0;
  if (total > 0) { start = atomicAdd(&sizes[u.o_sizes + u.groups], total); }
  for (var group = i * ${PLACED}; group < last; group++) {
    let size = atomicLoad(&sizes[u.o_sizes + group]);
    starts[u.o_starts + group] = start;
    atomicStore(&sizes[u.o_sizes + group], start);
    start += size;
  }
}`,
});

/** Fills the groups in the order in which threads come: any. Places become ends. */
const FILL = elementKernel({
  name: "groups.fill",
  bindings: { keys: "read i32", ends: "write atomic<i32>", members: "write i32" },
  body: `
fn element(i: i32) {
  let key = keys[u.o_keys + i];
  if (u32(key) < u32(u.groups)) { members[u.o_members + atomicAdd(&ends[u.o_ends + key], 1)] = i; }
}`,
});

/** Brings each group's members into ascending order: each goes after as many as are smaller. */
const SORT = elementKernel({
  name: "groups.sort",
  bindings: { keys: "read i32", starts: "read i32", ends: "read i32", members: "read i32", order: "write i32" },
  body: `
fn element(i: i32) {
  let key = keys[u.o_keys + i];
  if (u32(key) >= u32(u.groups)) { return; }
  let start = starts[u.o_starts + key];
  let end = ends[u.o_ends + key];
  var before = 0;
  for (var at = start; at < end; at++) { before += select(0, 1, members[u.o_members + at] < i); }
  order[u.o_order + start + before] = i;
}`,
});

/**
 * Groups positions by their keys, i32 [count]; a key outside 0 … groups − 1 is in none. Integer atomics find the room, but
 * the order within a group is that of the positions, so a sum over it is the same on every run. A group of c members takes
 * c² comparisons.
 */
export function withGroups(
  runtime: GpuRuntime,
  { keys, count, groups }: { keys: BufferView; count: number; groups: number },
  use: (found: Groups) => void,
): void {
  // One more size: the room that is taken.
  runtime.withScratch(groups + 1, "i32", (sizes) =>
    runtime.withScratch(groups, "i32", (starts) =>
      runtime.withScratch(count, "i32", (order) => {
        const uniforms = { groups };
        clear(runtime, sizes, groups + 1);
        dispatchElements(runtime, COUNT, { views: { keys, sizes }, uniforms, count });
        dispatchElements(runtime, PLACE, {
          views: { sizes, starts },
          uniforms,
          count: Math.ceil(groups / PLACED),
          visits: 2 * PLACED,
        });
        runtime.withScratch(count, "i32", (members) => {
          dispatchElements(runtime, FILL, { views: { keys, ends: sizes, members }, uniforms, count });
          dispatchElements(runtime, SORT, {
            views: { keys, starts, ends: sizes, members, order },
            uniforms,
            count,
            visits: 1 + Math.ceil(count / groups),
          });
        });
        use({ starts, ends: sizes, order });
      }),
    ),
  );
}
