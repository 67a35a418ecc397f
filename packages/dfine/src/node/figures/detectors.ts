import { complexityOf } from "../../complexity.ts";
import { presetConfig } from "../../config/presets.ts";

/** Sizes of D-FINE, smallest first. */
export const SIZES = ["n", "s", "m", "l", "x"] as const;
type Size = (typeof SIZES)[number];

/** A detector's numbers on COCO val2017 at 640 pixels; what no source at hand gives is undefined. */
export interface KnownDetector {
  readonly name: string;
  readonly preset?: Size;
  readonly size: "small" | "large";
  /** Percent. */
  readonly ap: number;
  /** Millions. */
  readonly parameters?: number;
  readonly gflops?: number;
  /** On a T4 with TensorRT FP16. */
  readonly latencyMs?: number;
  readonly source: string;
}

const README = "README of github.com/Peterande/D-FINE";
const PAPER = "text of D-FINE, arXiv 2410.13842";

const ours = (preset: Size, ap: number, latencyMs: number): KnownDetector => {
  const { parameters, gflops } = complexityOf(presetConfig(preset, "coco").model);
  return {
    ...{ name: `D-FINE-${preset.toUpperCase()}`, preset, size: preset === "l" || preset === "x" ? "large" : "small" },
    ...{
      ap,
      parameters: parameters / 1e6,
      gflops,
      latencyMs,
      source: `AP and latency: ${README}; the rest is counted here`,
    },
  };
};
const quoted = (name: string, ap: number, facts: Omit<KnownDetector, "name" | "ap" | "source">): KnownDetector => ({
  ...{ name, ap, source: PAPER },
  ...facts,
});

const OURS: Readonly<Record<Size, readonly [ap: number, latencyMs: number]>> = {
  n: [42.8, 2.12],
  s: [48.5, 3.49],
  m: [52.3, 5.62],
  l: [54.0, 8.07],
  x: [55.8, 12.89],
};

/** What tables 1 and 7 and figure 1 are about. Of the paper's own tables 1 and 7 no text is at hand; others' numbers are those its text quotes. */
export const knownDetectors = (): KnownDetector[] => [
  ...SIZES.map((preset) => ours(preset, ...OURS[preset])),
  quoted("YOLOv10-L", 53.2, { size: "large", gflops: 120 }),
  quoted("YOLOv10-X", 54.4, { size: "large" }),
  quoted("RT-DETR-R50", 53.1, { size: "large", gflops: 136 }),
  quoted("RT-DETR-R101", 54.3, { size: "large" }),
  quoted("RT-DETR-HGNetv2-L", 53.0, { size: "large", parameters: 32, gflops: 110, latencyMs: 9.25 }),
  quoted("LW-DETR-X", 53.0, { size: "large", gflops: 174 }),
  quoted("Gold-YOLO-S", 46.4, { size: "small" }),
  quoted("RT-DETRv2-S", 48.1, { size: "small" }),
  quoted("RT-DETRv2-M", 49.9, { size: "small" }),
  quoted("YOLOv10-M", 51.1, { size: "small" }),
];
