import type { TrainingBatch } from "./batch.ts";

/** A step whose loss or gradient is not finite: what one needs to find out why. */
export interface NonFiniteReport {
  /** Steps done before it. */
  readonly step: number;
  readonly epoch: number;
  readonly imageIds: readonly number[];
  /** Boxes per image. */
  readonly boxes: readonly number[];
  readonly learningRate: number;
  readonly losses: Readonly<Record<string, number>>;
  readonly gradientNorm: number;
}

/** Training can't go on: too many steps in a row gave no finite loss or gradient. */
export class NonFiniteError extends Error {
  override readonly name = "NonFiniteError";
  readonly report: NonFiniteReport;

  constructor(report: NonFiniteReport, inARow: number) {
    super(describeNonFinite(report, inARow));
    this.report = report;
  }
}

export function nonFiniteReport(
  batch: TrainingBatch,
  facts: Omit<NonFiniteReport, "imageIds" | "boxes">,
): NonFiniteReport {
  return { ...facts, imageIds: batch.imageIds, boxes: batch.targets.map(({ labels }) => labels.length) };
}

function describeNonFinite(report: NonFiniteReport, inARow: number): string {
  const { losses, gradientNorm, step, epoch, imageIds, learningRate } = report;
  const bad = Object.entries(losses).filter(([, value]) => !Number.isFinite(value));
  const terms =
    bad.length > 0
      ? `terms that are not finite: ${bad.map(([name, value]) => `${name} = ${value}`).join(", ")}`
      : `all ${Object.keys(losses).length} loss terms are finite, the gradient norm is ${gradientNorm}`;
  return (
    `training stopped: ${inARow} steps in a row without a finite loss and gradient (step ${step + 1}, epoch ${epoch + 1}); ` +
    `${terms}; learning rate ${learningRate}; images of the last batch: ${imageIds.join(", ")}. ` +
    "Lower the learning rate (--lr), or look for damaged images and boxes among these"
  );
}
