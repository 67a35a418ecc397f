import { weightingFunction } from "../../model/weighting.ts";
import { plotColor, plotSheet } from "./plot.ts";

/** a, c and N of a curve, as the paper calls them. */
export interface WeightingCurve {
  readonly a: number;
  readonly c: number;
  readonly bins: number;
}

/** Those of the paper's Table 4. */
export const PAPER_CURVES: readonly WeightingCurve[] = [
  { a: 0.5, c: 0.25, bins: 32 },
  { a: 0.5, c: 0.125, bins: 32 },
  { a: 0.5, c: 100, bins: 32 },
  { a: 0.25, c: 0.25, bins: 32 },
  { a: 1, c: 0.25, bins: 32 },
];

/** Figure 2's inset: W(n), in sides of the box, over n / N; and the same around the middle, where steps are fine. */
export function weightingFigure(curves: readonly WeightingCurve[]): string {
  const series = curves.map(({ a, c, bins }, i) => {
    const values = weightingFunction({ regMax: bins, regScale: 1 / c, up: a });
    const points = Array.from(values, (value, n): [number, number] => [n / bins, value * c]);
    return { name: `a ${a}, c ${c}, N ${bins}`, color: plotColor(i), points };
  });
  const middle = series.map((one) => ({ ...one, points: one.points.filter(([x]) => x >= 0.35 && x <= 0.65) }));
  const axes = { xLabel: "n / N", yLabel: "W(n), sides of the box" };
  const names = series.map(({ name }) => name).join("; ");
  const short = (list: typeof series) => list.map((one, i) => ({ ...one, name: labelOf(curves[i]!) }));
  return plotSheet(
    [
      { ...axes, title: "W(n) by a, c, N", series: short(series) },
      { ...axes, title: "around the middle", series: short(middle) },
    ],
    { label: `Weighting functions: ${names}`, columns: 2 },
  );
}

const labelOf = ({ a, c, bins }: WeightingCurve): string => `${a}, ${c}, ${bins}`;
