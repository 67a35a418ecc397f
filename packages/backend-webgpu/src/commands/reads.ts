import { OutOfMemoryError, type TypedArray } from "@dfine/tensor";
import type { Slice } from "@dfine/tensor/kernel";
import { waitFor } from "../device/adapter.ts";
import { MAP_READ, USAGE } from "../device/constants.ts";
import type { Gpu } from "../device/gpu.ts";
import { blockBytes, type GpuBuffer } from "../memory/gpuBuffer.ts";
import type { CommandQueue } from "./queue.ts";

/** Bytes that cross together, and where they belong. */
interface Piece {
  bytes: number;
  readonly parts: { readonly into: Uint8Array; readonly from: { block: GpuBuffer["block"]; byteOffset: number } }[];
}

/**
 * What reads tensors: all sources of a call cross with one synchronisation, in pieces of at most `pieceBytes`, and buffers of
 * as many bytes together are kept for the next. The copies are queued when a call returns; zeros while rehearsing.
 * A call throws BackendError when anything before it failed.
 */
export function readerOf(
  { device, faults, counters, pieceBytes }: Gpu,
  queue: CommandQueue,
): (sources: readonly Slice[]) => Promise<TypedArray[]> {
  /** Mapped by nobody, the longest unused first. */
  const spare: GPUBuffer[] = [];
  let spareBytes = 0;

  const stagingOf = (size: number): GPUBuffer => {
    const known = spare.findIndex((staging) => staging.size === size);
    if (known >= 0) {
      spareBytes -= size;
      return spare.splice(known, 1)[0]!;
    }
    const explain = (message: string) =>
      new OutOfMemoryError(`webgpu: no memory to read ${size} bytes back: ${message}`, "read less at a time");
    return faults.watch("out-of-memory", explain, () =>
      device.createBuffer({ label: "staging", size, usage: USAGE.mapRead | USAGE.copyTarget }),
    );
  };

  /** Queues the copy of a piece to a buffer that can be mapped. */
  const copy = ({ bytes, parts }: Piece): GPUBuffer => {
    const staging = stagingOf(Math.min(blockBytes(bytes), pieceBytes));
    // Parts that follow each other in one buffer are one copy.
    let byteOffset = 0;
    let bytesOfRun = 0;
    for (const [i, { into, from }] of parts.entries()) {
      bytesOfRun += into.length;
      const next = parts[i + 1]?.from;
      if (next?.block === from.block && next.byteOffset === from.byteOffset + into.length) continue;
      const start = { block: from.block, byteOffset: from.byteOffset + into.length - bytesOfRun };
      queue.copy(start, { block: { gpu: staging, batch: 0 }, byteOffset }, bytesOfRun);
      byteOffset += bytesOfRun;
      bytesOfRun = 0;
    }
    counters.readBytes += bytes;
    return staging;
  };

  /** Hands out what a buffer holds, and keeps it for the next read. */
  const take = async ({ parts }: Piece, staging: GPUBuffer): Promise<void> => {
    await staging.mapAsync(MAP_READ);
    const mapped = staging.getMappedRange();
    let at = 0;
    for (const { into } of parts) {
      into.set(new Uint8Array(mapped, at, into.length));
      at += into.length;
    }
    staging.unmap();
    spareBytes += staging.size;
    for (spare.push(staging); spareBytes > pieceBytes; ) {
      const oldest = spare.shift()!;
      spareBytes -= oldest.size;
      oldest.destroy();
    }
  };

  return async (sources) => {
    const results = sources.map(({ buffer: { dtype }, length }) =>
      dtype === "f32" ? new Float32Array(length) : new Int32Array(length),
    );
    if (queue.rehearsing) return results;
    const crossing = piecesOf(sources, { results, pieceBytes }).map((piece) => ({ piece, staging: copy(piece) }));
    queue.flush();
    counters.reads++;
    try {
      await waitFor(Promise.all(crossing.map(({ piece, staging }) => take(piece, staging))));
    } catch (error) {
      throw await faults.explain(error);
    }
    // A kernel that was refused leaves old contents behind: nothing is handed out before all is known to be right.
    await faults.settle();
    return results;
  };
}

/** At least one, since a read of nothing waits for what was queued before it too. */
function piecesOf(
  sources: readonly Slice[],
  { results, pieceBytes }: { results: readonly TypedArray[]; pieceBytes: number },
): Piece[] {
  const pieces: Piece[] = [{ bytes: 0, parts: [] }];
  for (const [i, { buffer, offset, length }] of sources.entries()) {
    for (let at = 0, count: number; at < length * 4; at += count) {
      if (pieces.at(-1)!.bytes === pieceBytes) pieces.push({ bytes: 0, parts: [] });
      const piece = pieces.at(-1)!;
      count = Math.min(length * 4 - at, pieceBytes - piece.bytes);
      piece.parts.push({
        into: new Uint8Array(results[i]!.buffer, at, count),
        from: { block: (buffer as GpuBuffer).block, byteOffset: offset * 4 + at },
      });
      piece.bytes += count;
    }
  }
  return pieces;
}
