import { ticks } from "d3-array";
import { escapeUTF8 as escapeHtml } from "entities/escape";

/** Points on a common pair of axes: joined, or each by itself. */
export interface PlotSeries {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  readonly color: string;
  /** Default "line". */
  readonly mark?: "line" | "dots";
  /** Written beside each point. */
  readonly labels?: readonly string[];
}

export interface Plot {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly PlotSeries[];
  /** Ends of the y axis where they do not follow from the points. */
  readonly yRange?: readonly [low: number, high: number];
  /** Whether the x axis begins at 0. */
  readonly fromZero?: boolean;
}

export const PLOT = { width: 460, height: 340 };
const MARGIN = { left: 58, right: 20, top: 52, bottom: 48 };
const COLORS = ["#1f77b4", "#d9622b", "#2a9d50", "#8a5cc2", "#c23b6b", "#7a6a3a", "#1591a3"];

/** A colour for each of a plot's series. */
export const plotColor = (i: number): string => COLORS[i % COLORS.length]!;

/** The inside of one SVG, `PLOT` large: axes, marks, and a legend below the title. */
export function plot({ title, xLabel, yLabel, series, yRange, fromZero = false }: Plot): string {
  const points = series.flatMap((one) => one.points);
  const x = axis(fromZero ? [0, ...points.map(([value]) => value)] : points.map(([value]) => value), [
    MARGIN.left,
    PLOT.width - MARGIN.right,
  ]);
  const y = axis(yRange ?? points.map(([, value]) => value), [PLOT.height - MARGIN.bottom, MARGIN.top + 14]);
  const middle = {
    x: (MARGIN.left + PLOT.width - MARGIN.right) / 2,
    y: (PLOT.height - MARGIN.bottom + MARGIN.top) / 2,
  };
  return [
    text(title, [MARGIN.left, 20], { size: 14, anchor: "start", weight: 650 }),
    ...y.ticks.map(
      (value) =>
        `<path d="M${MARGIN.left} ${px(y.at(value))}H${PLOT.width - MARGIN.right}" stroke="#d5dbe3"/>${text(value, [MARGIN.left - 7, y.at(value) + 4], { anchor: "end" })}`,
    ),
    ...x.ticks.map(
      (value) =>
        `<path d="M${px(x.at(value))} ${PLOT.height - MARGIN.bottom}v4" stroke="#8a94a3"/>${text(value, [x.at(value), PLOT.height - MARGIN.bottom + 18])}`,
    ),
    `<path d="M${MARGIN.left} ${PLOT.height - MARGIN.bottom}H${PLOT.width - MARGIN.right}" stroke="#8a94a3"/>`,
    text(xLabel, [middle.x, PLOT.height - 10]),
    `<g transform="translate(14 ${px(middle.y)}) rotate(-90)">${text(yLabel, [0, 0])}</g>`,
    ...series.map((one) => marks(one, x.at, y.at)),
    legend(series),
  ].join("\n");
}

/** How far below a point of "dots" its label stands, one after the other, so that those of neighbours do not meet. */
const BELOW = [16, 30, 44, 58] as const;

function marks({ points, color, mark = "line", labels }: PlotSeries, x: Scale, y: Scale): string {
  const placed = points.map(([px, py]) => [x(px), y(py)] as const);
  const path = placed.map(([left, top], i) => `${i === 0 ? "M" : "L"}${px(left)} ${px(top)}`).join("");
  const dots = placed.map(([left, top], i) => {
    const isLast = left > PLOT.width - 90;
    const [dx, dy] = mark === "line" ? [-5, -6] : [isLast ? 4 : 7, BELOW[i % BELOW.length]!];
    const anchor = mark === "line" || isLast ? "end" : "start";
    const label = text(labels?.[i] ?? "", [left + dx, top + dy], { anchor, size: 11 });
    return `<circle cx="${px(left)}" cy="${px(top)}" r="${mark === "line" ? 2.2 : 4.5}" fill="${color}"/>${labels ? label : ""}`;
  });
  const line = mark === "line" ? `<path d="${path}" fill="none" stroke="${color}" stroke-width="2"/>` : "";
  return line + (mark === "line" && points.length > 40 ? "" : dots.join(""));
}

/** Below the title, in as many lines as it takes. */
function legend(series: readonly PlotSeries[]): string {
  if (series.length < 2) return "";
  let [left, top] = [MARGIN.left, 35];
  return series
    .map(({ name, color }) => {
      const width = 26 + 6.2 * name.length;
      if (left + width > PLOT.width) [left, top] = [MARGIN.left, top + 15];
      const entry = `<circle cx="${px(left + 4)}" cy="${top}" r="4" fill="${color}"/>${text(name, [left + 12, top + 4], { anchor: "start", size: 11 })}`;
      left += width;
      return entry;
    })
    .join("");
}

type Scale = (value: number) => number;

function axis(values: readonly number[], [from, to]: readonly [number, number]): { ticks: number[]; at: Scale } {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const span = high > low ? high - low : 1;
  return { ticks: ticks(low, low + span, 5), at: (value) => from + ((value - low) / span) * (to - from) };
}

interface TextStyle {
  readonly size?: number;
  readonly anchor?: "start" | "middle" | "end";
  readonly weight?: number;
}

/** A text of a figure; its middle is at `x` where nothing else is said. */
export function text(content: string | number, [x, y]: readonly [number, number], style: TextStyle = {}): string {
  const { size = 12, anchor = "middle", weight } = style;
  const bold = weight === undefined ? "" : ` font-weight="${weight}"`;
  return `<text x="${px(x)}" y="${px(y)}" font-size="${size}" text-anchor="${anchor}"${bold}>${escapeHtml(String(content))}</text>`;
}

/** A length on the page, to two digits. */
export const px = (value: number): number => Math.round(value * 100) / 100;

/** One SVG file around what stands in it. */
export const svgFile = ({ width, height }: { width: number; height: number }, label: string, body: string): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${px(width)} ${px(height)}" width="${px(width)}" role="img" aria-label="${escapeHtml(label)}" font-family="system-ui, 'Segoe UI', Helvetica, Arial, sans-serif" fill="#1f2933">
<rect width="100%" height="100%" fill="#fff"/>
${body}
</svg>
`;

/** Plots side by side, `columns` to a row, as one SVG file. */
export function plotSheet(plots: readonly Plot[], { label, columns }: { label: string; columns: number }): string {
  const placed = plots.map((one, i) => {
    const at = [(i % columns) * PLOT.width, Math.floor(i / columns) * PLOT.height];
    return `<g transform="translate(${at.join(" ")})">\n${plot(one)}\n</g>`;
  });
  const size = {
    width: Math.min(columns, plots.length) * PLOT.width,
    height: Math.ceil(plots.length / columns) * PLOT.height,
  };
  return svgFile(size, label, placed.join("\n"));
}
