import type { Faults } from "./faults.ts";

/** What the backend did so far. */
export interface Counters {
  dispatches: number;
  /** From buffer to buffer, those for reads included. */
  copies: number;
  submits: number;
  /** Shaders compiled: stands still once a loop has seen its kernels, whatever the sizes. */
  pipelines: number;
  bindGroups: number;
  /** Bytes of device buffers created, those reused counted once: stands still when a loop has found its memory. */
  allocatedBytes: number;
  reads: number;
  readBytes: number;
}

export const newCounters = (): Counters => ({
  ...{ dispatches: 0, copies: 0, submits: 0, pipelines: 0, bindGroups: 0, allocatedBytes: 0, reads: 0, readBytes: 0 },
});

/** What all parts of a backend share. */
export interface Gpu {
  readonly device: GPUDevice;
  readonly faults: Faults;
  readonly counters: Counters;
  /** Most bytes that cross between host and device at a time. */
  readonly pieceBytes: number;
}
