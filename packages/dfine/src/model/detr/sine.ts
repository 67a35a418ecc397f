import { concat, defineMap, split, type Tensor, tensor } from "@dfine/tensor";
import type { Expr } from "@dfine/tensor/kernel";

/** Factors of the Taylor series of the sine, x³ to x¹⁵: within ±π/2 it is 6e-12 off at most. */
const FACTORS = [3, 5, 7, 9, 11, 13, 15].map((power) => {
  let factorial = 1;
  for (let i = 2; i <= power; i++) factorial *= i;
  return (power % 4 === 1 ? 1 : -1) / factorial;
});
/** π in two parts, of which the first has spare bits: its products with small numbers are exact in float32. */
const PI_HIGH = 3.140625;
const PI_LOW = Math.PI - PI_HIGH;

/** sin(x + shift · π); shift is 0 or ½. */
function sine(x: Expr, shift: Expr): Expr {
  const turns = x
    .mul(1 / Math.PI)
    .add(shift)
    .add(0.5)
    .floor();
  const whole = turns.sub(shift);
  const r = x.sub(whole.mul(PI_HIGH)).sub(whole.mul(PI_LOW));
  const square = r.mul(r);
  const series = FACTORS.reduceRight<Expr>((sum, factor) => sum.mul(square).add(factor), square.mul(0));
  const value = r.add(r.mul(square).mul(series));
  const isOdd = turns.mul(0.5).floor().mul(2).eq(turns).not();
  return isOdd.select(value.neg(), value);
}

const sineFeature = defineMap("sineFeature", (x, frequency, shift) => sine(x.mul(frequency), shift), {
  inputs: [[-1, 1], [0.1, 7], 0.5],
});

/** Numbers that become sines and cosines of rising wavelengths. */
export interface SineOptions {
  /** For each number; even. */
  readonly features: number;
  /** Ratio of the longest wavelength to the shortest. */
  readonly temperature: number;
}

/**
 * Sines and cosines, in turn, of each number of x [...] in turns → [..., features]: number k and its neighbour have the
 * frequency temperature^(−k / features). Vaswani et al. 2017.
 */
export function sineFeatures(x: Tensor, { features, temperature }: SineOptions): Tensor {
  const numbers = Array.from({ length: features }, (_, k) => k);
  const { backend } = x;
  const frequencies = numbers.map((k) => (2 * Math.PI) / temperature ** ((k - (k % 2)) / features));
  const frequency = tensor(Float64Array.from(frequencies), [features], { backend });
  const shift = tensor(
    numbers.map((k) => (k % 2) / 2),
    [features],
    { backend },
  );
  return sineFeature(x.unsqueeze(-1), frequency, shift);
}

/** Features of the numbers of boxes [B, M, 4] that `order` names, one after the other [B, M, features of all]. */
export function boxFeatures(boxes: Tensor, order: readonly number[], options: SineOptions): Tensor {
  const components = split(
    boxes,
    order.map(() => 1),
    -1,
  );
  return sineFeatures(
    concat(
      order.map((i) => components[i]!),
      -1,
    ),
    options,
  ).flatten(2);
}
