import type { OpAttrs, Override } from "@dfine/tensor/kernel";
import { clear, dispatchElements, elementKernel } from "./elements.ts";
import { withGroups } from "./groups.ts";
import type { GpuRuntime } from "./runtime.ts";

/** Copies bits, so that it serves every dtype. An index outside the rows is brought to the nearest one. */
const SELECT = elementKernel({
  name: "indexSelect.rows",
  bindings: { x: "read i32", index: "read i32", to: "write i32" },
  body: `
fn element(i: i32) {
  let k = i / u.columns;
  let row = clamp(index[u.o_index + k], 0, u.rows - 1);
  to[u.o_to + i] = x[u.o_x + row * u.columns + i - k * u.columns];
}`,
});

export const indexSelectOverride = (runtime: GpuRuntime): Override<OpAttrs["indexSelect"]> => ({
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

/** A thread per element of the updates; those of a row's first update go through all updates of the row. */
const GROUPED = elementKernel({
  name: "indexAdd.grouped",
  bindings: {
    ...({ index: "read i32", starts: "read i32", ends: "read i32", order: "read i32" } as const),
    ...({ updates: "read f32", to: "write f32" } as const),
  },
  body: `
fn element(i: i32) {
  let columns = u.columns;
  let k = i / columns;
  let row = index[u.o_index + k];
  if (u32(row) >= u32(u.rows)) { return; }
  var at = u.o_order + starts[u.o_starts + row];
  if (order[at] != k) { return; }
  let end = u.o_order + ends[u.o_ends + row];
  let column = i - k * columns;
  var sum = 0.0;
  for (; at < end; at++) { sum += updates[u.o_updates + order[at] * columns + column]; }
  to[u.o_to + row * columns + column] = sum;
}`,
});

/** Comparisons up to which looking at every index beats sorting them first, which takes six dispatches more. */
const MOST_SCANNED = 2 ** 25;

export const indexAddOverride = (runtime: GpuRuntime): Override<OpAttrs["indexAdd"]> => ({
  select: ([, updates], { rows }) => {
    if (!runtime.tuning.addsByIndex) return undefined;
    const [count, columns] = updates!.shape as [number, number];
    return rows * columns * count <= MOST_SCANNED ? "scan" : "grouped";
  },
  run({ variant, inputs: [index, updates], outputs: [to], attrs: { rows } }) {
    const [updateCount, columns] = updates!.shape as [number, number];
    const views = { index: index!, updates: updates!, to: to! };
    if (variant === "scan") {
      dispatchElements(runtime, SCAN, {
        views,
        uniforms: { columns, updateCount },
        count: rows * columns,
        visits: Math.max(1, updateCount),
      });
      return;
    }
    clear(runtime, views.to, rows * columns);
    withGroups(runtime, { keys: index!, count: updateCount, groups: rows }, (groups) =>
      dispatchElements(runtime, GROUPED, {
        views: { ...views, ...groups },
        uniforms: { columns, rows },
        count: updateCount * columns,
      }),
    );
  },
});
