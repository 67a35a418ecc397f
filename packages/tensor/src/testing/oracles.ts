/** Slow, direct definitions on nested loops, independent of the engine: what tests compare with. */

/** a [M, K] · b [K, N]. */
export function matmulOracle(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  [m, k, n]: readonly [number, number, number],
): Float64Array {
  const out = new Float64Array(m * n);
  for (let i = 0; i < m; i++)
    for (let j = 0; j < n; j++) for (let p = 0; p < k; p++) out[i * n + j]! += a[i * k + p]! * b[p * n + j]!;
  return out;
}

export interface ConvShape {
  /** B, Ci, H, W */
  readonly x: readonly [number, number, number, number];
  /** Co, Ci/groups, kh, kw */
  readonly weight: readonly [number, number, number, number];
  readonly stride: number;
  readonly padding: number;
  readonly dilation: number;
  readonly groups: number;
}

export const convOutputSize = (shape: ConvShape): [number, number] => {
  const along = (i: 2 | 3): number =>
    Math.floor((shape.x[i] + 2 * shape.padding - shape.dilation * (shape.weight[i] - 1) - 1) / shape.stride) + 1;
  return [along(2), along(3)];
};

/** Calls `visit` with the flat positions in output, input and weight of every product a convolution sums. */
export function eachConvTerm(shape: ConvShape, visit: (y: number, x: number, w: number) => void): void {
  const [batch, ci, height, width] = shape.x;
  const [co, cg, kh, kw] = shape.weight;
  const [ho, wo] = convOutputSize(shape);
  for (let b = 0; b < batch; b++)
    for (let o = 0; o < co; o++)
      for (let oy = 0; oy < ho; oy++)
        for (let ox = 0; ox < wo; ox++)
          for (let c = 0; c < cg; c++)
            for (let ky = 0; ky < kh; ky++)
              for (let kx = 0; kx < kw; kx++) {
                const iy = oy * shape.stride + ky * shape.dilation - shape.padding;
                const ix = ox * shape.stride + kx * shape.dilation - shape.padding;
                if (iy < 0 || iy >= height || ix < 0 || ix >= width) continue;
                const channel = Math.floor(o / (co / shape.groups)) * cg + c;
                visit(
                  ((b * co + o) * ho + oy) * wo + ox,
                  ((b * ci + channel) * height + iy) * width + ix,
                  ((o * cg + c) * kh + ky) * kw + kx,
                );
              }
}
