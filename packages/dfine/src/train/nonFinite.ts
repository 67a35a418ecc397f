import { type HostTensor, isDerived, type Module } from "@dfine/nn";
import { counted, firstOf } from "../describe.ts";

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
  /** Tensors of the weights that are not finite. */
  readonly weights: readonly string[];
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

function describeNonFinite(report: NonFiniteReport, inARow: number): string {
  const { losses, gradientNorm, step, epoch, imageIds, learningRate, weights } = report;
  const bad = Object.entries(losses).filter(([, value]) => !Number.isFinite(value));
  const terms =
    bad.length > 0
      ? `terms that are not finite: ${bad.map(([name, value]) => `${name} = ${value}`).join(", ")}`
      : `all ${Object.keys(losses).length} loss terms are finite, the gradient norm is ${gradientNorm}`;
  return (
    `training stopped: ${inARow} steps in a row without a finite loss and gradient (step ${step + 1}, epoch ${epoch + 1}); ` +
    `${terms}; learning rate ${learningRate}; images of the last batch: ${imageIds.join(", ")}. ` +
    (weights.length > 0
      ? `The weights are not finite in ${listed(weights)}: go back to an earlier checkpoint, with a lower learning rate (--lr)`
      : "Lower the learning rate (--lr), or look for damaged images and boxes among these")
  );
}

/** Averaged weights that are not finite: nothing that should become a checkpoint. */
export class NonFiniteWeightsError extends Error {
  override readonly name = "NonFiniteWeightsError";
  readonly tensors: readonly string[];

  constructor(tensors: readonly string[]) {
    super(
      `training stopped: the averaged weights are not finite in ${listed(tensors)}, so they are not saved; ` +
        "go back to an earlier checkpoint, with a lower learning rate (--lr)",
    );
    this.tensors = tensors;
  }
}

const listed = (tensors: readonly string[]): string => `${counted(tensors.length, "tensor")} (${firstOf(tensors, 3)})`;

/** Names of tensors that hold NaN or an infinity, those left out that follow from the model: anchors may be infinite. */
export function nonFiniteNames(tensors: ReadonlyMap<string, HostTensor>, model: Module): string[] {
  const state = model.stateDict();
  return [...tensors].flatMap(([name, { data }]) => {
    const own = state.get(name);
    return (own && isDerived(own)) || data.every(Number.isFinite) ? [] : [name];
  });
}
