/** Height and width of a batch, in pixels. */
export type BatchSize = readonly [height: number, width: number];

const STEP = 32;

/**
 * Sizes that multi-scale training draws from: about three quarters to five quarters of `base` in steps of 32, and `base`
 * itself `repeat` times (officially once more where it is no multiple of 128). Never below 32. docs/specification.md §17.
 */
export function trainingScales(base: number, repeat: number): number[] {
  const low = STEP * Math.max(1, Math.floor((0.75 * base) / STEP));
  const high = STEP * Math.floor((1.25 * base) / STEP);
  const count = Math.floor((base - low) / STEP);
  const steps = Array.from({ length: Math.max(0, count) }, (_, i) => i * STEP);
  return [...steps.map((step) => low + step), ...Array<number>(repeat).fill(base), ...steps.map((step) => high - step)];
}

/** The size of a batch: drawn for the longer side, the shorter one in proportion, both multiples of 32. */
export function drawSize([height, width]: BatchSize, repeat: number, draw: number): BatchSize {
  const scales = trainingScales(Math.max(height, width), repeat);
  return withLonger([height, width], scales[Math.floor(draw * scales.length)]!);
}

/** The size whose longer side is `drawn`. */
function withLonger([height, width]: BatchSize, drawn: number): BatchSize {
  const base = Math.max(height, width);
  const scaled = (side: number) =>
    side === base ? drawn : Math.max(STEP, STEP * Math.round((side * drawn) / base / STEP));
  return [scaled(height), scaled(width)];
}

/** The largest size that a batch may have. */
export function largestSize(size: BatchSize, repeat: number | null): BatchSize {
  return repeat === null ? size : withLonger(size, Math.max(...trainingScales(Math.max(...size), repeat)));
}

/** Resizes planes [N, H, W] to the nearest values, as PyTorch's default interpolation does. */
export function resizeNearest(planes: Float32Array, from: BatchSize, to: BatchSize): Float32Array {
  if (from[0] === to[0] && from[1] === to[1]) return planes;
  const sources = (axis: 0 | 1) => {
    const scale = Math.fround(from[axis] / to[axis]);
    return Int32Array.from({ length: to[axis] }, (_, i) =>
      Math.min(Math.floor(Math.fround(i * scale)), from[axis] - 1),
    );
  };
  const [rows, columns] = [sources(0), sources(1)];
  const count = planes.length / (from[0] * from[1]);
  const out = new Float32Array(count * to[0] * to[1]);
  let at = 0;
  for (let plane = 0; plane < count; plane++)
    for (const y of rows) {
      const start = (plane * from[0] + y) * from[1];
      for (const x of columns) out[at++] = planes[start + x]!;
    }
  return out;
}
