import type { Backend, Buffer } from "./backend.ts";
import type { Dtype } from "./dtype.ts";
import { OwnershipError } from "./errors.ts";

let live = 0;

/** Storages that are not freed yet, on all backends: what leak tests compare. */
export const liveStorages = (): number => live;

/** Counted elements on one backend: one count per live handle, view or tape save. */
export class Storage {
  readonly backend: Backend;
  readonly #buffer: Buffer;
  #count = 1;
  /** How often it was changed in place. */
  version = 0;
  /** By the first element of a change: its last one, and the version that it made. */
  #changes: Map<number, { readonly last: number; readonly version: number }> | undefined;

  constructor(backend: Backend, length: number, dtype: Dtype) {
    this.backend = backend;
    this.#buffer = backend.alloc(length, dtype);
    live++;
  }

  /** @throws OwnershipError after the last release */
  get buffer(): Buffer {
    if (this.#count === 0)
      throw new OwnershipError("a tensor was used after it was freed; keep(t) takes it out of its scope");
    return this.#buffer;
  }

  /** Whether more than one handle, view or save counts on it. */
  get isShared(): boolean {
    return this.#count > 1;
  }

  /** Elements from…last are about to be changed in place. */
  change(from: number, last: number): void {
    this.#changes ??= new Map();
    const before = this.#changes.get(from)?.last ?? last;
    this.#changes.set(from, { last: Math.max(last, before), version: ++this.version });
  }

  /** Whether any of the elements from…last was changed in place after `version`. */
  changedSince(version: number, from: number, last: number): boolean {
    if (this.version === version || !this.#changes) return false;
    return [...this.#changes].some(
      ([start, change]) => change.version > version && start <= last && change.last >= from,
    );
  }

  retain(): this {
    if (this.#count === 0) throw new OwnershipError("a freed tensor cannot be shared again");
    this.#count++;
    return this;
  }

  release(): void {
    if (this.#count === 0) throw new OwnershipError("a tensor was freed twice");
    if (--this.#count > 0) return;
    this.backend.free(this.#buffer);
    live--;
  }
}
