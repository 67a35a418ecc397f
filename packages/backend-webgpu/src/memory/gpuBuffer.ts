import type { Buffer } from "@dfine/tensor";
import { sizeClass } from "@dfine/tensor/kernel";

/** A whole GPUBuffer, lent to a tensor storage. */
export interface GpuBuffer extends Buffer {
  readonly block: Block;
  freed: boolean;
}

/** Device memory that goes from one storage to the next. */
export interface Block {
  /** Never used again, also when the block is destroyed: caches go by it. */
  readonly id: number;
  readonly bytes: number;
  readonly gpu: GPUBuffer;
  /** Number of the batch of commands that used it last: what waits to be submitted must not be overtaken. */
  batch: number;
}

const SMALLEST = 256;
/** Multiples of 16, so that a whole block can be read as vec4. */
const LEAST_STEP = 16;

/** Bytes to allocate for `bytes`. */
export const blockBytes = (bytes: number): number => sizeClass(Math.max(bytes, SMALLEST), { least: LEAST_STEP });
