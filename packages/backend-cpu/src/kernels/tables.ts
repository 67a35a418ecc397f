import type { CpuRuntime } from "../runtime.ts";

/** Lends tables of 32-bit words in memory while `use` runs. */
export function withTables(
  runtime: CpuRuntime,
  tables: readonly (readonly number[] | Int32Array)[],
  use: (addresses: number[]) => void,
): void {
  const words = tables.reduce((sum, table) => sum + table.length, 0);
  runtime.withScratch(words * 4, (scratch) => {
    const heap = runtime.heapI32();
    let at = scratch / 4;
    use(
      tables.map((table) => {
        heap.set(table, at);
        at += table.length;
        return (at - table.length) * 4;
      }),
    );
  });
}

/** 0, step, 2·step, … */
export const steps = (count: number, step: number): Int32Array => new Int32Array(count).map((_, i) => i * step);

/** `list`, then all of it `step` further, …: `count` times. */
export function repeated(list: readonly number[], { count, step }: { count: number; step: number }): Int32Array {
  const all = new Int32Array(list.length * count);
  for (let i = 0, at = 0; i < count; i++) for (const offset of list) all[at++] = offset + i * step;
  return all;
}
