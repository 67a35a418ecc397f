import { BackendError } from "@dfine/tensor";
import { type Binding, type Kernel, type Launch, roundUp } from "@dfine/tensor/kernel";
import type { CommandQueue } from "../commands/queue.ts";
import type { Block, GpuBuffer } from "../memory/gpuBuffer.ts";
import type { Pool } from "../memory/pool.ts";

export interface Span {
  readonly first: number;
  readonly last: number;
}

/** Elements that an operand may touch: from the first to one past the last. */
export function spanOf({ offset, strides, length }: Binding, sizes: readonly number[], indexed: boolean): Span {
  if (indexed) return { first: offset, last: offset + length };
  const reaches = strides.map((stride, axis) => stride * Math.max(0, sizes[axis]! - 1));
  return {
    first: reaches.reduce((first, reach) => first + Math.min(0, reach), offset),
    last: reaches.reduce((last, reach) => last + Math.max(0, reach), offset + 1),
  };
}

const blockOf = (binding: Binding): Block => (binding.buffer as GpuBuffer).block;

/**
 * Runs a kernel that binds more buffers than the device takes: what it reads, the smallest first, is copied into one buffer
 * until the rest fits.
 * @throws BackendError when its outputs alone are too many
 */
export function runPacked(
  kernel: Kernel,
  launch: Launch,
  {
    queue,
    pool,
    maxBindings,
    run,
  }: { queue: CommandQueue; pool: Pool; maxBindings: number; run: (launch: Launch) => void },
): void {
  const written = new Set(
    launch.operands.filter((_, k) => kernel.operands[k]!.mode !== "read").map((operand) => blockOf(operand)),
  );
  const spans = new Map<Block, Span>();
  for (const [k, operand] of launch.operands.entries()) {
    const block = blockOf(operand);
    if (written.has(block)) continue;
    const { first, last } = spanOf(operand, launch.sizes, kernel.operands[k]!.indexed);
    const known = spans.get(block);
    spans.set(block, { first: Math.min(first, known?.first ?? first), last: Math.max(last, known?.last ?? last) });
  }
  const excess = written.size + spans.size - maxBindings;
  const size = ({ first, last }: Span): number => last - first;
  const packed = [...spans].sort(([, a], [, b]) => size(a) - size(b)).slice(0, excess + 1);
  if (packed.length <= excess)
    throw new BackendError(
      `webgpu: kernel ${kernel.name} writes ${written.size} buffers and reads others; this device binds ${maxBindings} at a time`,
    );
  // Elements keep their place within fours, so that what could be read as vec4 still can.
  const starts = new Map<Block, number>();
  let length = 0;
  for (const [block, span] of packed) {
    const shift = roundUp(length, 4) - Math.floor(span.first / 4) * 4;
    starts.set(block, shift);
    length = span.last + shift;
  }
  const scratch = pool.alloc(length, "f32");
  for (const [block, span] of packed) {
    const to = { block: scratch.block, byteOffset: (span.first + starts.get(block)!) * 4 };
    queue.copy({ block, byteOffset: span.first * 4 }, to, size(span) * 4);
  }
  const operands = launch.operands.map((operand) => {
    const shift = starts.get(blockOf(operand));
    return shift === undefined ? operand : { ...operand, buffer: scratch, offset: operand.offset + shift };
  });
  run({ ...launch, operands });
  pool.free(scratch);
}
