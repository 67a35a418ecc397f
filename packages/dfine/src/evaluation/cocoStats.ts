/** The object sizes that COCO reports apart, by the annotation's area in square pixels; both ends belong to the range. */
export const areaRanges = [
  { name: "all", low: 0, high: 1e10 },
  { name: "small", low: 0, high: 32 ** 2 },
  { name: "medium", low: 32 ** 2, high: 96 ** 2 },
  { name: "large", low: 96 ** 2, high: 1e10 },
] as const;

export type AreaRange = (typeof areaRanges)[number];

/** IoU thresholds 0.50, 0.55, …, 0.95, spaced as numpy.linspace rounds them. */
export const iouThresholds: readonly number[] = Array.from({ length: 10 }, (_, i) =>
  i === 9 ? 0.95 : 0.5 + i * ((0.95 - 0.5) / 9),
);

/** Recall levels 0, 0.01, …, 1, spaced as numpy.linspace rounds them. */
export const recallLevels: readonly number[] = Array.from({ length: 101 }, (_, i) => (i === 100 ? 1 : i * 0.01));

/** How many detections of one image and category count, best first. */
export const detectionLimits = [1, 10, 100] as const;

/**
 * The twelve numbers of a COCO box evaluation, in the usual order. `threshold` is a position in `iouThresholds`, or
 * null for the mean over all; `area` one in `areaRanges`; `limit` one in `detectionLimits`.
 */
export const cocoStats = [
  { name: "AP", measure: "precision", threshold: null, area: 0, limit: 2 },
  { name: "AP50", measure: "precision", threshold: 0, area: 0, limit: 2 },
  { name: "AP75", measure: "precision", threshold: 5, area: 0, limit: 2 },
  { name: "APs", measure: "precision", threshold: null, area: 1, limit: 2 },
  { name: "APm", measure: "precision", threshold: null, area: 2, limit: 2 },
  { name: "APl", measure: "precision", threshold: null, area: 3, limit: 2 },
  { name: "AR1", measure: "recall", threshold: null, area: 0, limit: 0 },
  { name: "AR10", measure: "recall", threshold: null, area: 0, limit: 1 },
  { name: "AR100", measure: "recall", threshold: null, area: 0, limit: 2 },
  { name: "ARs", measure: "recall", threshold: null, area: 1, limit: 2 },
  { name: "ARm", measure: "recall", threshold: null, area: 2, limit: 2 },
  { name: "ARl", measure: "recall", threshold: null, area: 3, limit: 2 },
] as const;

/** AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl. */
export type CocoStatName = (typeof cocoStats)[number]["name"];

export const COCO_STAT_NAMES = cocoStats.map(({ name }) => name);

/** The familiar table, one line for each of the twelve numbers; -1 where there was nothing to find. */
export function formatCocoStats(stats: Readonly<Record<CocoStatName, number>>): string {
  return cocoStats
    .map(({ name, measure, threshold, area, limit }) => {
      const what = measure === "precision" ? "Average Precision" : "Average Recall   ";
      const iou = threshold === null ? "0.50:0.95" : iouThresholds[threshold]!.toFixed(2).padEnd(9);
      const size = areaRanges[area].name.padStart(6);
      const most = String(detectionLimits[limit]).padStart(3);
      return `${name.padEnd(5)} ${what} IoU=${iou} area=${size} maxDets=${most}  ${stats[name].toFixed(3)}`;
    })
    .join("\n");
}
