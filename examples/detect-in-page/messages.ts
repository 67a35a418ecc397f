import type { DetectedObject } from "dfine";

/** Where a page can compute. */
export const DEVICES = ["cpu", "webgpu"] as const;
export type PageDevice = (typeof DEVICES)[number];

export interface Opened {
  readonly names: readonly string[];
  /** What the device computes with, for people. */
  readonly device: string;
}

export interface Found {
  readonly objects: readonly DetectedObject[];
  readonly milliseconds: number;
}

/** What the page asks of the worker. A type and not an interface, so that names and arguments can be looked up. */
export type Detecting = {
  /** Makes the detector that later calls use. */
  open(weights: File, device: PageDevice): Promise<Opened>;
  detect(image: Blob, threshold: number): Promise<Found>;
};
