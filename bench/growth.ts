import { markdown, milliseconds } from "./goalsTable.ts";
import { lineChart } from "./lineChart.ts";
import type { Row } from "./row.ts";

const PRESETS = ["n", "s", "m", "l", "x"] as const;
const megabytes = (bytes: number | undefined): string => (bytes === undefined ? "" : (bytes / 1e6).toFixed(0));

/** Rows of one work by what it grows with, each once, ascending. */
function growing(rows: readonly Row[], name: string, along: "batch" | "size"): Row[] {
  const found = new Map(rows.filter((row) => row.name === name).map((row) => [row[along], row]));
  return [...found.values()].sort((a, b) => a[along] - b[along]);
}

/** How time and memory grow with batch, size and preset, as a table in Markdown. */
export function growthTable(rows: readonly Row[]): string {
  const ours = rows.filter(({ implementation, work }) => implementation === "ours" && work !== "kernel");
  const lines = PRESETS.flatMap((preset) => [
    ...growing(ours, `dfine_${preset}`, "size").map((row) => ["inference", row] as const),
    ...growing(ours, `train_${preset}`, "batch").map((row) => ["step", row] as const),
  ]).map(([work, row]) => [
    ...[`${work} of ${row.preset?.toUpperCase()}`, String(row.size), String(row.batch)],
    ...[row.min_ms, row.median_ms, row.max_ms].map(milliseconds),
    ...[milliseconds(row.median_ms / row.batch), megabytes(row.peak_bytes)],
  ]);
  return markdown(["work", "size", "batch", "min, ms", "median", "max", "per image", "memory, MB"], lines);
}

/** By the weights of the presets, in millions: a step with one image, and inference at 640. */
function byPreset(rows: readonly Row[]) {
  const weights = new Map(rows.flatMap(({ preset, learned }) => (learned ? [[preset, learned.parameters / 1e6]] : [])));
  const series = (name: string, isMeant: (row: Row) => boolean) => {
    const found = new Map(rows.filter(isMeant).map((row) => [row.preset, row.median_ms]));
    const points = PRESETS.map(
      (preset) => [weights.get(preset) ?? Number.NaN, found.get(preset) ?? Number.NaN] as const,
    );
    return { name, points: points.filter((point) => point.every(Number.isFinite)) };
  };
  return [
    series("step", ({ work, size, batch }) => work === "train" && size === 320 && batch === 1),
    series("inference", ({ work, size }) => work === "infer" && size === 640),
  ].filter(({ points }) => points.length > 1);
}

/** The same as curves: a step by its batch, inference by its size, both by preset. SVG, one below the other. */
export function growthPlot(rows: readonly Row[]): string {
  const ours = rows.filter(({ implementation }) => implementation === "ours");
  const series = (prefix: string, along: "batch" | "size") =>
    PRESETS.map((preset) => ({
      name: preset.toUpperCase(),
      points: growing(ours, `${prefix}_${preset}`, along).map((row) => [row[along], row.median_ms] as const),
    })).filter(({ points }) => points.length > 1);
  const charts = [
    lineChart(series("train", "batch"), { title: "training step at 320, ms", xLabel: "images in a batch", yMin: 0 }),
    lineChart(series("dfine", "size"), { title: "inference of one image, ms", xLabel: "side in pixels", yMin: 0 }),
    lineChart(byPreset(ours), {
      title: "one image, N to X: step at 320 and inference at 640, ms",
      xLabel: "weights that learn, in millions",
      yMin: 0,
    }),
  ].filter(Boolean);
  const placed = charts.map((chart, i) =>
    chart.replace("<svg ", `<svg x="0" y="${i * HEIGHT}" width="${WIDTH}" height="${HEIGHT}" `),
  );
  const size = `width="${WIDTH}" height="${charts.length * HEIGHT}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif" color="#444" style="background:#fff">\n<title>How time grows</title>\n${placed.join("\n")}\n</svg>\n`;
}

/** Of one chart. */
const [WIDTH, HEIGHT] = [560, 280];
