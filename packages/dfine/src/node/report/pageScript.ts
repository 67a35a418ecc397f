import type uPlot from "uplot";
import type { Chart } from "./charts.ts";

/** What a live page is told: sections that have changed by id, all charts, and how the run stands. */
export interface PageUpdate {
  readonly status: string;
  readonly sections: readonly { readonly id: string; readonly mark: string; readonly html: string }[];
  readonly charts: readonly Chart[];
}

/**
 * The page's own script. It is put into the page as text, so it uses nothing from outside but the page and `uPlot`, which
 * stands before it.
 */
export function runPage(): void {
  const Plot = (globalThis as unknown as { uPlot: typeof uPlot }).uPlot;
  const plots = new Map<string, { plot: uPlot; place: Element; lines: string }>();
  let charts = JSON.parse(document.getElementById("charts")!.textContent!) as readonly Chart[];
  const css = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function options(chart: Chart, width: number): uPlot.Options {
    const [ink, line] = [css("--ink"), css("--line")];
    const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    const { xRange, yRange, mark } = chart;
    const range = (low: number | undefined, high: number | undefined): uPlot.Range.MinMax => {
      const [from, to] = [yRange?.[0] ?? low ?? 0, yRange?.[1] ?? high ?? 1];
      return [from, to > from ? to + (yRange?.[1] == null ? (to - from) * 0.05 : 0) : from + 1];
    };
    return {
      ...{ width, height: Math.round(Math.min(320, Math.max(220, width * 0.5))) },
      scales: {
        x: { time: false, ...(xRange ? { range: [...xRange] as [number, number] } : {}) },
        y: { range: (_, low, high) => range(low ?? undefined, high ?? undefined) },
      },
      axes: [
        { ...axis, label: chart.xLabel, labelSize: 20, size: 34 },
        { ...axis, size: 56, values: (_, splits) => splits.map((y) => String(Number(y.toPrecision(4)))) },
      ],
      series: [
        { label: chart.xLabel, value: (_, x) => (x == null ? "–" : String(Number(x.toPrecision(6)))) },
        ...chart.lines.map(({ name, color, strong }) => ({
          label: name,
          stroke: color === "currentColor" ? ink : color,
          width: strong ? 2.5 : 1.25,
          points: { show: chart.x.length < 40, size: 5 },
          value: (_: uPlot, y: number | null) => (y == null ? "–" : String(Number(y.toPrecision(4)))),
        })),
      ],
      legend: { live: true },
      cursor: { focus: { prox: 24 } },
      focus: { alpha: 0.35 },
      hooks: {
        draw: [
          (plot) => {
            if (!mark) return;
            const { ctx, bbox } = plot;
            const x = plot.valToPos(mark.x, "x", true);
            ctx.save();
            ctx.strokeStyle = ink;
            ctx.fillStyle = ink;
            ctx.setLineDash([6, 4]);
            ctx.beginPath();
            ctx.moveTo(x, bbox.top);
            ctx.lineTo(x, bbox.top + bbox.height);
            ctx.stroke();
            ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
            const isRight = x > bbox.left + bbox.width / 2;
            ctx.textAlign = isRight ? "right" : "left";
            ctx.fillText(
              mark.text,
              x + (isRight ? -6 : 6) * devicePixelRatio,
              bbox.top + bbox.height - 8 * devicePixelRatio,
            );
            ctx.restore();
          },
        ],
      },
    };
  }

  function draw(chart: Chart): void {
    const place = document.querySelector(`[data-chart="${chart.id}"]`);
    if (!place) return;
    const data = [chart.x, ...chart.lines.map(({ values }) => values)] as unknown as uPlot.AlignedData;
    const lines = JSON.stringify([chart.lines.map(({ name }) => name), chart.mark]);
    const known = plots.get(chart.id);
    if (known?.place === place && known.lines === lines) {
      const { min, max } = known.plot.scales.x!;
      const before = known.plot.data[0];
      // What is looked at closely stays where it is.
      const isZoomed = !chart.xRange && before.length > 1 && (min! > before[0]! || max! < before.at(-1)!);
      known.plot.setData(data, !isZoomed);
      return;
    }
    known?.plot.destroy();
    const plot = new Plot(options(chart, place.clientWidth), data, place as HTMLElement);
    plots.set(chart.id, { plot, place, lines });
  }

  const redraw = (): void => {
    for (const { plot } of plots.values()) plot.destroy();
    plots.clear();
    charts.forEach(draw);
  };
  redraw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let width = document.documentElement.clientWidth;
  addEventListener("resize", () => {
    if (document.documentElement.clientWidth === width) return;
    width = document.documentElement.clientWidth;
    redraw();
  });

  // A score and its box light up together.
  document.addEventListener("mouseover", ({ target }) => {
    for (const lit of Array.from(document.querySelectorAll(".lit"))) lit.classList.remove("lit");
    const box = (target as Element).closest("[data-box]");
    const alike = `[data-box="${box?.getAttribute("data-box")}"]`;
    for (const one of Array.from(box?.closest("figure")?.querySelectorAll(alike) ?? [])) one.classList.add("lit");
  });

  const status = document.getElementById("status")!;
  if (status.dataset.live === undefined) return;
  const source = new EventSource("events");
  const take = (text: string): void => {
    const update = JSON.parse(text) as PageUpdate;
    status.textContent = update.status;
    for (const { id, mark, html } of update.sections) {
      const section = document.getElementById(id);
      if (!section || section.dataset.mark === mark) continue;
      section.innerHTML = html;
      section.dataset.mark = mark;
    }
    charts = update.charts;
    charts.forEach(draw);
  };
  source.addEventListener("update", ({ data }) => take(data));
  source.addEventListener("end", ({ data }) => {
    take(data);
    source.close();
  });
  source.addEventListener("error", () => {
    status.textContent = "the run is not heard any more; trying again";
  });
}
