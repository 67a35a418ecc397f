import type { Shape, TypedArray } from "@dfine/tensor";

/** How PyTorch's code starts a parameter: one value, uniform within a bound, normal; or a check of its own. */
export type Start =
  | { readonly value: number }
  | { readonly bound: number }
  | { readonly std: number }
  | { readonly holds: (values: TypedArray) => boolean };

export interface Parameter {
  readonly name: string;
  readonly shape: Shape;
  /** Of the weight that a bias belongs to. */
  readonly weightShape: Shape | undefined;
}

const fanIn = (shape: Shape): number => shape.slice(1).reduce((product, n) => product * n, 1);
const fanOut = ([out = 1, _, ...kernel]: Shape): number => kernel.reduce((product, n) => product * n, out);
export const xavier = ({ shape }: Parameter): Start => ({ bound: Math.sqrt(6 / (fanIn(shape) + fanOut(shape))) });
export const usual = ({ shape }: Parameter): Start => ({ bound: 1 / Math.sqrt(fanIn(shape)) });
export const usualBias = ({ weightShape }: Parameter): Start => ({ bound: 1 / Math.sqrt(fanIn(weightShape!)) });
export const value = (number: number) => (): Start => ({ value: number });

/** Standard errors that a statistic may be off; over some 2000 statistics chance rarely reaches five. */
const MOST = 5.5;

export function problem(start: Start, values: TypedArray): string | undefined {
  if ("holds" in start) return start.holds(values) ? undefined : "is not as computed";
  if ("value" in start) {
    const wrong = values.find((found) => Math.abs(found - start.value) > 1e-6);
    return wrong === undefined ? undefined : `has ${wrong}, not ${start.value}`;
  }
  const n = values.length;
  const isUniform = "bound" in start;
  const std = isUniform ? start.bound / Math.sqrt(3) : start.std;
  let [sum, squares] = [0, 0];
  for (const x of values) {
    sum += x;
    squares += x * x;
  }
  const kurtosis = isUniform ? 9 / 5 : 3;
  const meanError = (Math.abs(sum / n) / std) * Math.sqrt(n);
  const squareError = Math.abs(squares / n / std ** 2 - 1) / Math.sqrt((kurtosis - 1) / n);
  if (isUniform && values.some((x) => Math.abs(x) > start.bound * (1 + 1e-6))) return `passes the bound ${start.bound}`;
  if (meanError > MOST) return `has a mean ${meanError.toFixed(1)} standard errors from 0`;
  return squareError > MOST ? `has a spread ${squareError.toFixed(1)} standard errors from ${std}` : undefined;
}
