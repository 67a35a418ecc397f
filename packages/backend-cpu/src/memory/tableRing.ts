import { roundUp } from "@dfine/tensor/kernel";
import { ALIGNMENT, type Heap } from "./heap.ts";
import { put, type WordList } from "./wordList.ts";

/** Launches, which run in the order in which they are queued. */
export interface Order {
  /** Launches queued so far. */
  readonly queued: number;
  /** Returns when so many are done. */
  workUntil(launches: number): void;
}

// Room for the tables of as many launches as may wait.
const RING_BYTES = 2 ** 20;

/** A part of the ring; positions only grow, and their remainders are places in it. */
interface Lent {
  readonly start: number;
  /** Launches after which nobody reads it; undefined while it is lent. */
  until: number | undefined;
}

/**
 * Tables that the host writes for kernels which run later: parts of a ring, each of which is written again when the
 * launches are done that were queued while it was lent.
 */
export class TableRing {
  readonly #heap: Heap;
  readonly #order: Order;
  readonly #address: number;
  readonly #lent: Lent[] = [];
  #next = 0;

  constructor(heap: Heap, order: Order) {
    this.#heap = heap;
    this.#order = order;
    this.#address = heap.alloc(RING_BYTES);
  }

  /** Lends memory with tables of words, one after another, for what `use` launches. */
  withTables<T>(tables: readonly WordList[], use: (addresses: number[]) => T): T {
    const bytes = tables.reduce((sum, { length }) => sum + length * 4, 0);
    const start = this.#place(roundUp(bytes, ALIGNMENT));
    if (start === undefined) return this.#withBlock(tables, bytes, use);
    const lent: Lent = { start, until: undefined };
    this.#lent.push(lent);
    this.#next = start + roundUp(bytes, ALIGNMENT);
    try {
      return use(this.#write(tables, this.#address + (start % RING_BYTES)));
    } finally {
      lent.until = this.#order.queued;
    }
  }

  /** Where there is room for so many bytes in the ring, if there is. */
  #place(bytes: number): number | undefined {
    const rest = RING_BYTES - (this.#next % RING_BYTES);
    const start = bytes > rest ? this.#next + rest : this.#next;
    for (let first = this.#lent[0]; first && start + bytes - first.start > RING_BYTES; first = this.#lent[0]) {
      if (first.until === undefined) return undefined;
      this.#order.workUntil(first.until);
      this.#lent.shift();
    }
    return bytes > RING_BYTES ? undefined : start;
  }

  #withBlock<T>(tables: readonly WordList[], bytes: number, use: (addresses: number[]) => T): T {
    const block = this.#heap.alloc(bytes);
    try {
      // Kernels that wait may still use what this memory was before.
      this.#order.workUntil(this.#order.queued);
      return use(this.#write(tables, block));
    } finally {
      this.#heap.free(block, bytes);
    }
  }

  /** Addresses of the tables. */
  #write(tables: readonly WordList[], address: number): number[] {
    const words = this.#heap.i32();
    let at = address / 4;
    return tables.map((table) => {
      at = put(words, at, table);
      return (at - table.length) * 4;
    });
  }
}
