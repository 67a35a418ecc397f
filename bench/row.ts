import type { Profile } from "@dfine/tensor";
import type { PresetName } from "dfine";
import type { RunCounts } from "./counts.ts";

export const IMPLEMENTATIONS = [
  "ours",
  "onnxruntime-web",
  "onnxruntime-node",
  "gpu.js",
  "jax-js",
  "tfjs",
  "pytorch",
  "before",
] as const;
export type Implementation = (typeof IMPLEMENTATIONS)[number];

/** What is measured, whoever does it. */
export interface Subject {
  readonly work: "kernel" | "infer" | "train" | "start";
  readonly preset?: PresetName;
  readonly name: string;
  /** Side of the image or map, or length of a matrix or row. */
  readonly size: number;
  readonly batch: number;
}

/** One implementation's times of one work. */
export interface Row extends Subject {
  readonly threads: number;
  readonly implementation: Implementation;
  readonly median_ms: number;
  readonly min_ms: number;
  readonly max_ms: number;
  readonly runs: number;
  /** By the median; of operations that the definition needs, a multiply-add being two. */
  readonly gflops?: number;
  /** By the median; of bytes that must be read and written. */
  readonly gbps?: number;
  /** Highest use of the allocator of ours. */
  readonly peak_bytes?: number;
  /** Highest resident memory of the process that ran ours, before any peer was loaded. */
  readonly rss_bytes?: number;
  /** Of what learns: the loss before the first step, of ordinary queries, and how many weights learn. */
  readonly learned?: Learned | undefined;
  /** Where the time of ours went. */
  readonly profile?: Profile | undefined;
  /** What of its device the speed of ours depends on. */
  readonly device?: string | undefined;
  /** What ours asked of its device, where that counts. */
  readonly counts?: RunCounts | undefined;
}

/** By which it is seen that two implementations learn alike. */
export interface Learned {
  readonly loss: number;
  readonly parameters: number;
}

/** An implementation that a work could not be measured with. */
export interface NotRun extends Subject {
  readonly threads: number;
  readonly implementation: Implementation;
  readonly reason: string;
}

/** What one run costs. */
export interface Cost {
  readonly flops?: number;
  readonly bytes?: number;
}

/** Middle value; of an even number the mean of the two. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return Number.isInteger(middle) ? (sorted[middle - 1]! + sorted[middle]!) / 2 : sorted[Math.floor(middle)]!;
}

/** Times in milliseconds as the numbers of a row. */
export function timesOf(milliseconds: readonly number[], { flops, bytes }: Cost = {}) {
  const middle = median(milliseconds);
  return {
    median_ms: middle,
    min_ms: Math.min(...milliseconds),
    max_ms: Math.max(...milliseconds),
    runs: milliseconds.length,
    ...(flops === undefined ? {} : { gflops: flops / middle / 1e6 }),
    ...(bytes === undefined ? {} : { gbps: bytes / middle / 1e6 }),
  };
}
