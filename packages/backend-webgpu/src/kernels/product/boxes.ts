export type Grid = readonly [number, number, number];

/** WebGPU's least most workgroups along an axis. */
const MOST_GROUPS = 65535;

/** Cuts a grid of workgroups into boxes of at most `most`, at least one, that one dispatch each takes. */
export function* boxes(grid: Grid, most: number): Generator<{ readonly first: Grid; readonly count: Grid }> {
  const step: number[] = [];
  let room = Math.max(1, most);
  for (const size of grid) {
    step.push(Math.min(size, MOST_GROUPS, Math.max(1, Math.floor(room))));
    room /= size;
  }
  const [sx, sy, sz] = step as [number, number, number];
  for (let z = 0; z < grid[2]; z += sz)
    for (let y = 0; y < grid[1]; y += sy)
      for (let x = 0; x < grid[0]; x += sx)
        yield {
          first: [x, y, z],
          count: [Math.min(sx, grid[0] - x), Math.min(sy, grid[1] - y), Math.min(sz, grid[2] - z)],
        };
}
