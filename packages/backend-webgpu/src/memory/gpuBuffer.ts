import type { Buffer, Dtype } from "@dfine/tensor";

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

export function makeBuffer(block: Block, length: number, dtype: Dtype): GpuBuffer {
  return { length, dtype, block, freed: false };
}

const SMALLEST = 256;
const STEPS_PER_OCTAVE = 8;

/**
 * Bytes to allocate for `bytes`: eight sizes per octave, at most 12.5 % more than asked, so that tensors of changing sizes
 * share blocks. Multiples of 16, so that a whole block can be read as vec4.
 */
export function blockBytes(bytes: number): number {
  if (bytes <= SMALLEST) return SMALLEST;
  const step = 2 ** Math.floor(Math.log2(bytes)) / STEPS_PER_OCTAVE;
  return Math.ceil(bytes / step) * step;
}
