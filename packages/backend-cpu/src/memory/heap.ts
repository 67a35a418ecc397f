import { OutOfMemoryError } from "@dfine/tensor";
import { memo, roundUp, sizeClass } from "@dfine/tensor/kernel";
import { MAX_PAGES } from "../wasm/encode.ts";
import { FreeRanges } from "./freeRanges.ts";

/** Vector loads never cross a cache line when blocks start on one. */
export const ALIGNMENT = 64;
const PAGE = 65536;
/** Blocks up to here are cut from slabs and kept by class; larger ones join their free neighbours. */
const SMALL = 32 * 1024;
const SLAB = 64 * 1024;
const LARGEST_STEP = 64 * 1024;
const GROWTH = 32 * 1024 * 1024;

export interface HeapOptions {
  readonly shared: boolean;
  /** The memory never grows past this; at most 4 GiB. */
  readonly limitBytes: number;
}

/** Bytes that a request for `bytes` occupies. */
export const blockBytes = (bytes: number): number => sizeClass(bytes, { least: ALIGNMENT, most: LARGEST_STEP });

/** One WebAssembly memory and its allocator. Addresses are unsigned and may exceed 2³¹. */
export class Heap {
  readonly memory: WebAssembly.Memory;
  readonly #limit: number;
  readonly #small = new Map<number, number[]>();
  readonly #large = new FreeRanges();
  #end: number;
  #used = 0;
  #peak = 0;
  #u8!: Uint8Array;
  #i32!: Int32Array;
  #f32!: Float32Array;

  constructor({ shared, limitBytes }: HeapOptions) {
    this.#limit = Math.min(Math.floor(limitBytes / PAGE), MAX_PAGES) * PAGE;
    const initial = Math.min(16, this.#limit / PAGE);
    this.memory = new WebAssembly.Memory({ initial, maximum: MAX_PAGES, shared });
    this.#end = initial * PAGE;
    // Address 0 is never handed out, so that a forgotten pointer is not a valid one.
    this.#large.give(ALIGNMENT, this.#end - ALIGNMENT);
    this.#refresh();
  }

  get usedBytes(): number {
    return this.#used;
  }
  get peakBytes(): number {
    return this.#peak;
  }
  /** Size of the memory, free or not. */
  get capacityBytes(): number {
    return this.#end;
  }
  u8(): Uint8Array {
    return this.#u8;
  }
  i32(): Int32Array {
    return this.#i32;
  }
  f32(): Float32Array {
    return this.#f32;
  }

  /** 64-byte aligned; contents unspecified. @throws OutOfMemoryError saying what was asked, what is free and what would fit */
  alloc(bytes: number): number {
    const block = blockBytes(bytes);
    const pointer = block <= SMALL ? this.#takeSmall(block, bytes) : this.#takeLarge(block, bytes);
    this.#used += block;
    if (this.#used > this.#peak) this.#peak = this.#used;
    return pointer;
  }

  /** Gives back what `alloc(bytes)` returned. */
  free(pointer: number, bytes: number): void {
    const block = blockBytes(bytes);
    this.#used -= block;
    if (block <= SMALL) this.#small.get(block)!.push(pointer);
    else this.#large.give(pointer, block);
  }

  #takeSmall(block: number, asked: number): number {
    const list = memo(this.#small, block, () => []);
    const known = list.pop();
    if (known !== undefined) return known;
    const count = Math.floor(SLAB / block);
    const slab = this.#takeLarge(count * block, asked);
    for (let i = count - 1; i > 0; i--) list.push(slab + i * block);
    return slab;
  }

  #takeLarge(block: number, asked: number): number {
    const found = this.#large.take(block);
    if (found !== undefined) return found;
    this.#grow(block - this.#large.endingAt(this.#end), asked);
    return this.#large.take(block)!;
  }

  #grow(needed: number, asked: number): void {
    const least = roundUp(needed, PAGE);
    const room = this.#limit - this.#end;
    if (least > room) throw this.#outOfMemory(asked, `the memory may not grow past ${size(this.#limit)}`);
    const generous = Math.min(Math.max(least, GROWTH, Math.floor(this.#end / 8 / PAGE) * PAGE), room);
    const grown = this.#tryGrow(generous) || (generous > least && this.#tryGrow(least));
    if (!grown) throw this.#outOfMemory(asked, "the system gives no more");
  }

  #tryGrow(bytes: number): boolean {
    try {
      this.memory.grow(bytes / PAGE);
    } catch {
      return false;
    }
    this.#large.give(this.#end, bytes);
    this.#end += bytes;
    this.#refresh();
    return true;
  }

  #refresh(): void {
    const { buffer } = this.memory;
    this.#u8 = new Uint8Array(buffer);
    this.#i32 = new Int32Array(buffer);
    this.#f32 = new Float32Array(buffer);
  }

  #outOfMemory(asked: number, reason: string): OutOfMemoryError {
    const small = [...this.#small].reduce((sum, [block, list]) => sum + block * list.length, 0);
    const free = this.#large.total + small;
    const fits = Math.floor((100 * this.#limit) / (this.#used + asked));
    return new OutOfMemoryError(
      `cpu: out of memory: ${size(asked)} asked for, ${size(this.#used)} in use, ${size(free)} free ` +
        `(largest piece ${size(this.#large.largest())}), and ${reason}`,
      `a batch or image of about ${Math.min(fits, 90)} % of this one's pixels would fit`,
    );
  }
}

function size(bytes: number): string {
  const mebibytes = bytes / 2 ** 20;
  if (mebibytes >= 1024) return `${(mebibytes / 1024).toFixed(2)} GiB`;
  return mebibytes >= 1 ? `${mebibytes.toFixed(1)} MiB` : `${(bytes / 1024).toFixed(1)} KiB`;
}
