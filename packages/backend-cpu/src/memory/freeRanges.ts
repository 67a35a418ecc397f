/** Free pieces of an address space: sorted, never touching each other. Taking fits best, so large pieces stay large. */
export class FreeRanges {
  readonly #starts: number[] = [];
  readonly #sizes: number[] = [];
  #total = 0;

  get total(): number {
    return this.#total;
  }
  get count(): number {
    return this.#starts.length;
  }
  largest(): number {
    return this.#sizes.reduce((a, b) => Math.max(a, b), 0);
  }
  /** Size of the free piece that ends at `address`; 0 if there is none. */
  endingAt(address: number): number {
    const last = this.#starts.length - 1;
    return last >= 0 && this.#starts[last]! + this.#sizes[last]! === address ? this.#sizes[last]! : 0;
  }

  /** The address of `bytes` bytes that were free, or undefined when no piece is large enough. */
  take(bytes: number): number | undefined {
    const sizes = this.#sizes;
    let best = -1;
    let bestSize = Number.POSITIVE_INFINITY;
    for (let i = 0; i < sizes.length; i++) {
      const size = sizes[i]!;
      if (size < bytes || size >= bestSize) continue;
      best = i;
      bestSize = size;
      if (size === bytes) break;
    }
    if (best < 0) return undefined;
    const start = this.#starts[best]!;
    this.#total -= bytes;
    if (bestSize === bytes) {
      this.#starts.splice(best, 1);
      sizes.splice(best, 1);
    } else {
      this.#starts[best] = start + bytes;
      sizes[best] = bestSize - bytes;
    }
    return start;
  }

  /** Makes `bytes` bytes at `start` free, joining them with free neighbours. */
  give(start: number, bytes: number): void {
    const starts = this.#starts;
    const sizes = this.#sizes;
    const at = this.#firstAfter(start);
    const before = at - 1;
    const joinsBefore = before >= 0 && starts[before]! + sizes[before]! === start;
    const joinsAfter = at < starts.length && start + bytes === starts[at];
    this.#total += bytes;
    if (joinsBefore && joinsAfter) {
      sizes[before] = sizes[before]! + bytes + sizes[at]!;
      starts.splice(at, 1);
      sizes.splice(at, 1);
    } else if (joinsBefore) sizes[before] = sizes[before]! + bytes;
    else if (joinsAfter) {
      starts[at] = start;
      sizes[at] = sizes[at]! + bytes;
    } else {
      starts.splice(at, 0, start);
      sizes.splice(at, 0, bytes);
    }
  }

  #firstAfter(address: number): number {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#starts[middle]! < address) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
