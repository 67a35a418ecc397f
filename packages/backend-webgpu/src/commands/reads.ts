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
 * Reads of tensors: all sources of a call cross with one synchronisation, in pieces of at most `pieceBytes`, and buffers of
 * as many bytes together are kept for the next.
 */
export class Reads {
  readonly #gpu: Gpu;
  readonly #queue: CommandQueue;
  /** Mapped by nobody, the longest unused first. */
  readonly #spare: GPUBuffer[] = [];
  #spareBytes = 0;

  constructor(gpu: Gpu, queue: CommandQueue) {
    this.#gpu = gpu;
    this.#queue = queue;
  }

  /** The copies are queued when this returns; zeros while rehearsing. @throws BackendError when anything before them failed */
  async read(sources: readonly Slice[]): Promise<TypedArray[]> {
    const results = sources.map(({ buffer: { dtype }, length }) =>
      dtype === "f32" ? new Float32Array(length) : new Int32Array(length),
    );
    if (this.#queue.rehearsing) return results;
    const crossing = this.#pieces(sources, results).map((piece) => ({ piece, staging: this.#copy(piece) }));
    this.#queue.flush();
    this.#gpu.counters.reads++;
    try {
      await waitFor(
        Promise.all(
          crossing.map(async ({ piece, staging }) => {
            await staging.mapAsync(MAP_READ);
            this.#take(piece, staging);
          }),
        ),
      );
    } catch (error) {
      throw await this.#gpu.faults.explain(error);
    }
    // A kernel that was refused leaves old contents behind: nothing is handed out before all is known to be right.
    await this.#gpu.faults.settle();
    return results;
  }

  /** At least one, since a read of nothing waits for what was queued before it too. */
  #pieces(sources: readonly Slice[], results: readonly TypedArray[]): Piece[] {
    const pieces: Piece[] = [{ bytes: 0, parts: [] }];
    for (const [i, { buffer, offset, length }] of sources.entries()) {
      for (let at = 0, count: number; at < length * 4; at += count) {
        if (pieces.at(-1)!.bytes === this.#gpu.pieceBytes) pieces.push({ bytes: 0, parts: [] });
        const piece = pieces.at(-1)!;
        count = Math.min(length * 4 - at, this.#gpu.pieceBytes - piece.bytes);
        piece.parts.push({
          into: new Uint8Array(results[i]!.buffer, at, count),
          from: { block: (buffer as GpuBuffer).block, byteOffset: offset * 4 + at },
        });
        piece.bytes += count;
      }
    }
    return pieces;
  }

  /** Queues the copy of a piece to a buffer that can be mapped. */
  #copy({ bytes, parts }: Piece): GPUBuffer {
    const staging = this.#staging(Math.min(blockBytes(bytes), this.#gpu.pieceBytes));
    let byteOffset = 0;
    for (const { into, from } of parts) {
      this.#queue.copy(from, { block: { gpu: staging, batch: 0 }, byteOffset }, into.length);
      byteOffset += into.length;
    }
    this.#gpu.counters.readBytes += bytes;
    return staging;
  }

  /** Hands out what a mapped buffer holds, and keeps it for the next read. */
  #take({ parts }: Piece, staging: GPUBuffer): void {
    const mapped = staging.getMappedRange();
    let at = 0;
    for (const { into } of parts) {
      into.set(new Uint8Array(mapped, at, into.length));
      at += into.length;
    }
    staging.unmap();
    this.#spareBytes += staging.size;
    for (this.#spare.push(staging); this.#spareBytes > this.#gpu.pieceBytes; ) {
      const oldest = this.#spare.shift()!;
      this.#spareBytes -= oldest.size;
      oldest.destroy();
    }
  }

  #staging(size: number): GPUBuffer {
    const spare = this.#spare.findIndex((staging) => staging.size === size);
    if (spare >= 0) {
      this.#spareBytes -= size;
      return this.#spare.splice(spare, 1)[0]!;
    }
    const explain = (message: string) =>
      new OutOfMemoryError(`webgpu: no memory to read ${size} bytes back: ${message}`, "read less at a time");
    return this.#gpu.faults.watch("out-of-memory", explain, () =>
      this.#gpu.device.createBuffer({ label: "staging", size, usage: USAGE.mapRead | USAGE.copyTarget }),
    );
  }
}
