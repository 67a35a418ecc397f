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
