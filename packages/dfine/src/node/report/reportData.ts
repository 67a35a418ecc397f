import type { CocoStatName } from "../../evaluation/cocoStats.ts";
import type { Evaluation } from "../../train/evaluate.ts";
import type { GalleryImage } from "./gallery.ts";
import type { StepCurves } from "./stepCurves.ts";

/** One epoch of a run's curves. */
export interface ReportEpoch {
  /** Counted from 1. */
  readonly epoch: number;
  readonly loss: number;
  /** Without an evaluation: undefined. */
  readonly stats?: Readonly<Partial<Record<CocoStatName, number>>> | undefined;
}

/** What a report shows. */
export interface ReportData {
  readonly title: string;
  /** Numbers of the steps: `loss`, `learningRate`, `gradientNorm` and each loss term. */
  readonly steps?: StepCurves;
  readonly epochs?: readonly ReportEpoch[];
  readonly evaluation?: Pick<Evaluation, "result" | "explanation" | "layers"> | undefined;
  readonly images: readonly GalleryImage[];
  /** The worst false positives and false negatives, as pictures. */
  readonly mistakes?: {
    readonly falsePositives: readonly GalleryImage[];
    readonly falseNegatives: readonly GalleryImage[];
  };
  /** Resolved configuration as YAML. */
  readonly config?: string;
  /** Facts about machine and versions. */
  readonly environment: Readonly<Record<string, string | number>>;
  /** Sentences for the reader: what was mended in the data, what was skipped. */
  readonly notes?: readonly string[];
}
