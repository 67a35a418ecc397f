import { cocoStats } from "../../evaluation/cocoStats.ts";
import type { ConfidenceCurve, ConfidenceCurves, ConfidencePoint } from "../../evaluation/confidence.ts";
import { classColor } from "../palette.ts";
import type { ReportData, ReportEpoch } from "./reportData.ts";
import type { StepCurves } from "./stepCurves.ts";

/** A line of a chart. */
export interface ChartLine {
  readonly name: string;
  readonly color: string;
  /** At each x; null leaves a gap. */
  readonly values: readonly (number | null)[];
  /** Drawn thicker than others. */
  readonly strong?: boolean;
}

/** Lines over a common x axis, as the page's script draws them. */
export interface Chart {
  readonly id: string;
  readonly title: string;
  readonly xLabel: string;
  readonly x: readonly number[];
  readonly lines: readonly ChartLine[];
  /** Ends of the axes where they do not follow from the values. */
  readonly xRange?: readonly [number, number];
  readonly yRange?: readonly [low: number, high: number | null];
  /** A place on the x axis. */
  readonly mark?: { readonly x: number; readonly text: string };
}

/** Classes with a line of their own; more could not be told apart. */
const CLASSES_SHOWN = 10;
/** Told apart by most people on white and on black. */
const COLORS = ["#3b82f6", "#ea7317", "#1f9d55", "#a355d6", "#e0466b", "#0ea5b7", "#a3890a", "#8b8f98"];
const ALL = "all classes";

const color = (i: number): string => COLORS[i % COLORS.length]!;
const rgb = (label: number): string => `rgb(${classColor(label).join(" ")})`;

/** The charts of a report, each for the section that has a place for its id. */
export function reportCharts({ steps, epochs = [], evaluation }: ReportData): Chart[] {
  return [
    ...(steps && steps.steps.length > 0 ? stepCharts(steps) : []),
    ...(epochs.length > 0 ? [epochChart(epochs)] : []),
    ...(evaluation ? confidenceCharts(evaluation.explanation.curves) : []),
  ];
}

/** Kinds of loss terms, by what their names begin with. */
const TERMS: Readonly<Record<string, string>> = {
  loss_vfl: "Classification (varifocal, vfl)",
  loss_bbox: "Box corners (L1, bbox)",
  loss_giou: "Box overlap (GIoU)",
  loss_fgl: "Edge distributions (fine-grained, fgl)",
  loss_ddf: "Distillation between layers (ddf)",
  loss_localization: "Distillation of edges of matched queries",
  loss_logits: "Distillation of class logits",
  loss_features: "Distillation of queries",
};

function stepCharts(steps: StepCurves): Chart[] {
  const over = { xLabel: "step", x: steps.steps.map((step) => Number(step.toFixed(1))) };
  const single = (id: string, title: string, name: string, i: number): Chart => ({
    ...{ ...over, id, title, yRange: [0, null] },
    lines: [{ name, color: color(i), values: steps.curve(name), strong: true }],
  });
  const terms = steps.names.filter((name) => name.startsWith("loss_"));
  const kinds = [...new Set(terms.map(kindOf))];
  return [
    single("loss", "Loss, sum of all terms", "loss", 0),
    single("rate", "Learning rate", "learningRate", 2),
    single("norm", "Norm of the gradient", "gradientNorm", 3),
    ...kinds.map(
      (kind): Chart => ({
        ...{ ...over, id: `term-${kind}`, title: TERMS[kind] ?? kind, yRange: [0, null] },
        lines: terms
          .filter((name) => kindOf(name) === kind)
          .map((name, i) => ({
            name: name.slice(kind.length + 1).replaceAll("_", " ") || "last layer",
            ...{ color: color(i), values: steps.curve(name), strong: name === kind },
          })),
      }),
    ),
  ];
}

/** "loss_vfl" of "loss_vfl_dn_0". */
const kindOf = (name: string): string => name.split("_").slice(0, 2).join("_");

function epochChart(epochs: readonly ReportEpoch[]): Chart {
  const shown = cocoStats.filter(({ name }) => name === "AP" || name === "AP50" || name === "AP75");
  return {
    id: "ap",
    title: "Average precision of the averaged weights",
    xLabel: "epoch",
    x: epochs.map(({ epoch }) => epoch),
    yRange: [0, null],
    lines: shown.map(({ name }, i) => ({
      ...{ name, color: color(i), strong: i === 0 },
      values: epochs.map(({ stats }) => known(stats?.[name])),
    })),
  };
}

const known = (value: number | undefined): number | null => (value === undefined || value < 0 ? null : value);
const short = (value: number): number => Number(value.toFixed(4));

function confidenceCharts({ all, perCategory }: ConfidenceCurves): Chart[] {
  if (all.objects === 0) return [];
  const classes = perCategory
    .map((curve, label) => ({ ...curve, label }))
    .filter(({ objects }) => objects > 0)
    .sort((a, b) => b.objects - a.objects)
    .slice(0, CLASSES_SHOWN);
  const lines = (values: (curve: ConfidenceCurve) => readonly number[]): ChartLine[] => [
    ...classes.map((curve) => ({ name: curve.name, color: rgb(curve.label), values: values(curve).map(short) })),
    ...(classes.length > 1 ? [{ name: ALL, color: "currentColor", values: values(all).map(short), strong: true }] : []),
  ];
  const share = { xRange: [0, 1], yRange: [0, 1] } as const;
  const overScore = {
    ...share,
    ...{ xLabel: "lowest score that counts", x: all.byThreshold.map(({ threshold }) => threshold) },
    ...(all.best ? { mark: { x: short(all.best.threshold), text: `best ${all.best.threshold.toFixed(2)}` } } : {}),
  };
  const measure = (name: Exclude<keyof ConfidencePoint, "threshold">, i: number): ChartLine => ({
    ...{ name: name === "f1" ? "F1" : name, color: color(i), strong: name === "f1" },
    values: all.byThreshold.map((point) => short(point[name])),
  });
  return [
    {
      ...{ ...share, id: "pr", title: "Precision by recall, IoU 0.5", xLabel: "recall" },
      ...{ x: all.precisionByRecall.map((_, i) => i / 100), lines: lines((curve) => curve.precisionByRecall) },
    },
    {
      ...{ ...overScore, id: "f1", title: "F1 by score, IoU 0.5" },
      lines: lines((curve) => curve.byThreshold.map(({ f1 }) => f1)),
    },
    {
      ...{ ...overScore, id: "means", title: "Means over all classes by score, IoU 0.5" },
      lines: [measure("f1", 0), measure("precision", 1), measure("recall", 2)],
    },
  ];
}
