import type { TrainEvent } from "../train/events.ts";
import type { BrokenImage } from "./data/brokenImages.ts";
import type { RunFolder } from "./runFolder.ts";

/** Part of the data that a run reads. */
export type DataPart = "train" | "val";

/** An image was met that cannot be used. */
export type LeftOutEvent = { readonly kind: "left out"; readonly part: DataPart; readonly image: BrokenImage };

/** What a run will take, from passes of which nothing was learned. Said before the first step of a run of some length. */
export interface EstimateEvent {
  readonly kind: "estimate";
  readonly secondsPerStep: number;
  /** Steps that are left. */
  readonly steps: number;
  /** Of the device's memory. */
  readonly bytes: number;
}

/** What a run tells: that its folder is there and training begins, what training tells, and what should be known as a sentence. */
export type RunEvent =
  | { readonly kind: "started"; readonly run: RunFolder }
  | EstimateEvent
  | TrainEvent
  | LeftOutEvent
  | { readonly kind: "warning"; readonly text: string };

/** Whoever is told of a run: a terminal, a page, a test. */
export type RunSink = (event: RunEvent) => void;
