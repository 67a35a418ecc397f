import { ticks } from "d3-array";
import { line } from "d3-shape";
import { escapeUTF8 as escapeHtml } from "entities/escape";

export interface Series {
  readonly name: string;
  /** x, y; points that are not finite leave a gap. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

const WIDTH = 560;
const HEIGHT = 280;
const MARGIN = { left: 56, right: 16, top: 34, bottom: 40 };
const TICKS = 4;
const COLORS = ["#1f77b4", "#d9622b", "#2a9d50", "#8a5cc2"];

/** The extent of one axis and where its values lie on the page. */
function axis(values: readonly number[], range: readonly [number, number], floor?: number) {
  const finite = values.filter(Number.isFinite);
  const low = Math.min(floor ?? Number.POSITIVE_INFINITY, ...finite);
  const high = Math.max(...finite);
  const span = high > low ? high - low : 1;
  const [from, to] = range;
  return { ticks: ticks(low, low + span, TICKS), at: (value: number) => from + ((value - low) / span) * (to - from) };
}

/** Lines as static SVG; empty text when there is no point. The y axis begins at `yMin`, by default at the lowest value. */
export function lineChart(
  series: readonly Series[],
  options: { title: string; xLabel: string; yMin?: number },
): string {
  const points = series.flatMap((one) => one.points).filter(isFinitePoint);
  if (points.length === 0) return "";
  const x = axis(
    points.map(([value]) => value),
    [MARGIN.left, WIDTH - MARGIN.right],
  );
  const y = axis(
    points.map(([, value]) => value),
    [HEIGHT - MARGIN.bottom, MARGIN.top],
    options.yMin,
  );
  const text = (content: string | number, at: readonly [number, number], anchor = "middle") =>
    `<text x="${round(at[0])}" y="${round(at[1])}" text-anchor="${anchor}">${escapeHtml(String(content))}</text>`;
  const parts = [
    ...y.ticks.flatMap((value) => [
      `<path d="M${MARGIN.left} ${round(y.at(value))}H${WIDTH - MARGIN.right}" stroke="currentColor" opacity=".15"/>`,
      text(value, [MARGIN.left - 6, y.at(value) + 4], "end"),
    ]),
    ...x.ticks.map((value) => text(value, [x.at(value), HEIGHT - MARGIN.bottom + 16])),
    text(options.xLabel, [(MARGIN.left + WIDTH - MARGIN.right) / 2, HEIGHT - 6]),
    text(options.title, [MARGIN.left, 16], "start"),
    ...series.flatMap((one, i) => {
      const placed = one.points.map(([px, py]): [number, number] => [round(x.at(px)), round(y.at(py))]);
      // A single point is no line, and few points are better seen.
      const dots = placed.length <= 60 ? placed.filter(isFinitePoint) : [];
      return [
        `<path d="${path(placed) ?? ""}" fill="none" stroke="${color(i)}" stroke-width="1.8"/>`,
        ...dots.map(([cx, cy]) => `<circle cx="${cx}" cy="${cy}" r="2.5" fill="${color(i)}"/>`),
        `<g fill="${color(i)}">${text(one.name, [WIDTH - MARGIN.right - 80 * (series.length - 1 - i), 16], "end")}</g>`,
      ];
    }),
  ];
  return `<svg class="chart" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(options.title)}" font-size="12" fill="currentColor">
${parts.join("\n")}
</svg>`;
}

const isFinitePoint = (point: Series["points"][number]): boolean => point.every(Number.isFinite);
/** A line through points on the page, which breaks off at one that is not finite. */
const path = line().defined(isFinitePoint);
const color = (i: number): string => COLORS[i % COLORS.length]!;
const round = (value: number): number => Math.round(value * 10) / 10;
