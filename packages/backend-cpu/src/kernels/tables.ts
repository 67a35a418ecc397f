import type { CpuRuntime } from "../runtime.ts";

/** Writes `values` from word `at` on. @returns the word after them */
export function put(words: Int32Array, at: number, values: readonly number[] | Int32Array): number {
  // `set` is slow for lists.
  if (values instanceof Int32Array) words.set(values, at);
  else for (let i = 0; i < values.length; i++) words[at + i] = values[i]!;
  return at + values.length;
}

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
        at = put(heap, at, table);
        return (at - table.length) * 4;
      }),
    );
  });
}

/** 0, step, 2·step, … */
export function steps(count: number, step: number): Int32Array {
  const all = new Int32Array(count);
  for (let i = 0; i < count; i++) all[i] = i * step;
  return all;
}

/** `list`, then all of it `step` further, …: `count` times. */
export function repeated(list: readonly number[], { count, step }: { count: number; step: number }): Int32Array {
  const all = new Int32Array(list.length * count);
  for (let i = 0, at = 0; i < count; i++) for (let k = 0; k < list.length; k++) all[at++] = list[k]! + i * step;
  return all;
}
