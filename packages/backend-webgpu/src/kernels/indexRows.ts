import type { IndexAddAttrs, IndexSelectAttrs, Override } from "@dfine/tensor";
import type { GpuRuntime } from "../runtime.ts";
import { dispatchElements, elementKernel } from "./elements.ts";
import { withGroups } from "./groups.ts";

/** Copies bits, so that it serves every dtype. An index outside the rows is brought to the nearest one. */
const SELECT = elementKernel({
  name: "indexSelect.rows",
  bindings: { x: "read i32", index: "read i32", to: "write i32" },
  uniforms: { rows: "i32", columns: "i32" },
  body: `
fn element(i: i32) {
  let k = i / u.columns;
  let row = clamp(index[u.o_index + k], 0, u.rows - 1);
  to[u.o_to + i] = x[u.o_x + row * u.columns + i - k * u.columns];
}`,
});

export const indexSelectOverride = (runtime: GpuRuntime): Override<IndexSelectAttrs> => ({
  select: ([x]) => (x!.shape[0] === 0 ? undefined : "rows"),
  run({ inputs: [x, index], outputs: [to] }) {
    const [rows, columns] = x!.shape as [number, number];
    dispatchElements(runtime, SELECT, {
      views: { x: x!, index: index!, to: to! },
      uniforms: { rows, columns },
      count: index!.shape[0]! * columns,
    });
  },
});

/** A thread per element of the result looks at every index. */
const SCAN = elementKernel({
  name: "indexAdd.scan",
  bindings: { index: "read i32", updates: "read f32", to: "write f32" },
  uniforms: { columns: "i32", updateCount: "i32" },
  body: `
fn element(i: i32) {
  let row = i / u.columns;
  let column = u.o_updates + i - row * u.columns;
  var sum = 0.0;
  for (var k = 0; k < u.updateCount; k++) {
    if (index[u.o_index + k] == row) { sum += updates[column + k * u.columns]; }
  }
  to[u.o_to + i] = sum;
}`,
});

/** A thread per element of the result goes through the updates of its row. */
const GATHER = elementKernel({
  name: "indexAdd.groups",
  bindings: { starts: "read i32", ends: "read i32", order: "read i32", updates: "read f32", to: "write f32" },
  uniforms: { columns: "i32" },
  body: `
fn element(i: i32) {
  let row = i / u.columns;
  let column = u.o_updates + i - row * u.columns;
  let end = ends[u.o_ends + row];
  var sum = 0.0;
  for (var at = starts[u.o_starts + row]; at < end; at++) { sum += updates[column + order[u.o_order + at] * u.columns]; }
  to[u.o_to + i] = sum;
}`,
});

/** Comparisons up to which looking at every index beats sorting them first, which takes five dispatches more. */
const MOST_SCANNED = { software: 2 ** 20, gpu: 2 ** 25 };

export const indexAddOverride = (runtime: GpuRuntime): Override<IndexAddAttrs> => ({
  select: ([, updates], { rows }) => {
    const [count, columns] = updates!.shape as [number, number];
    const most = runtime.software ? MOST_SCANNED.software : MOST_SCANNED.gpu;
    return rows * columns * count <= most ? "scan" : "groups";
  },
  run({ variant, inputs: [index, updates], outputs: [to], attrs: { rows } }) {
    const [updateCount, columns] = updates!.shape as [number, number];
    const count = rows * columns;
    if (variant === "scan") {
      dispatchElements(runtime, SCAN, {
        views: { index: index!, updates: updates!, to: to! },
        uniforms: { columns, updateCount },
        count,
        visits: Math.max(1, updateCount),
      });
      return;
    }
    withGroups(runtime, { keys: index!, count: updateCount, groups: rows }, ({ starts, ends, order }) =>
      dispatchElements(runtime, GATHER, {
        views: { starts, ends, order, updates: updates!, to: to! },
        uniforms: { columns },
        count,
        visits: 1 + Math.ceil(updateCount / rows),
      }),
    );
  },
});
