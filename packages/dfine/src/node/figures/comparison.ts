import { type KnownDetector, knownDetectors } from "./detectors.ts";
import { type Plot, type PlotSeries, plotColor, plotSheet } from "./plot.ts";

/** Milliseconds that a preset takes on a device here, by preset. */
export type MeasuredLatencies = ReadonlyMap<string, number>;

const MEASURED = "latency here, ms";

/** A panel: AP over what `x` tells; detectors of which that is unknown are left out. */
function panel(
  title: string,
  detectors: readonly KnownDetector[],
  x: (one: KnownDetector) => number | undefined,
): Plot {
  const series = (name: string, list: readonly KnownDetector[], i: number): PlotSeries[] => {
    const known = list.flatMap((one): [string, readonly [number, number]][] => {
      const at = x(one);
      return at === undefined ? [] : [[one.name.replace("D-FINE-", ""), [at, one.ap]]];
    });
    known.sort(([, [a]], [, [b]]) => a - b);
    const points = known.map(([, point]) => point);
    const mark = i === 0 ? "line" : "dots";
    return points.length === 0
      ? []
      : [{ name, points, labels: known.map(([label]) => label), color: plotColor(i), mark }];
  };
  const own = detectors.filter(({ preset }) => preset !== undefined);
  const others = detectors.filter(({ preset }) => preset === undefined);
  return {
    ...{ title, xLabel: title, yLabel: "AP on COCO val2017, %", fromZero: true, yRange: [42, 57] },
    series: [...series("D-FINE", own, 0), ...series("others", others, 1)],
  };
}

/** Figure 1: AP over latency, parameters and operations. */
export function comparisonFigure(measured: MeasuredLatencies): string {
  const detectors = knownDetectors();
  const panels = [
    panel("latency on a T4 (TensorRT, FP16), ms", detectors, ({ latencyMs }) => latencyMs),
    panel("parameters, millions", detectors, ({ parameters }) => parameters),
    panel("GFLOPs", detectors, ({ gflops }) => gflops),
    ...(measured.size > 0 ? [panel(MEASURED, detectors, ({ preset }) => measured.get(preset ?? ""))] : []),
  ];
  return plotSheet(panels, { label: "Accuracy over latency, size and computation", columns: 2 });
}

/** Tables 1 (large models) and 7 (small ones) in Markdown, with a column for latencies that were measured here. */
export function comparisonTable(size: KnownDetector["size"], measured: MeasuredLatencies): string {
  const rows = knownDetectors().filter((one) => one.size === size);
  const shown = (value: number | undefined, digits = 1) => value?.toFixed(digits) ?? "";
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const head = [
    "model",
    "AP, %",
    "parameters, M",
    "GFLOPs",
    "latency on a T4, ms",
    ...(measured.size > 0 ? [MEASURED] : []),
    "source",
  ];
  const body = rows.map(({ name, ap, parameters, gflops, latencyMs, preset, source }) => [
    ...[name, shown(ap), shown(parameters), shown(gflops), shown(latencyMs, 2)],
    ...(measured.size > 0 ? [shown(measured.get(preset ?? ""), 0)] : []),
    source,
  ]);
  return `${[head, head.map((_, i) => (i === 0 || i === head.length - 1 ? "---" : "---:")), ...body].map(line).join("\n")}\n`;
}
