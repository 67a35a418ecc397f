/** A map, weak or not. */
export interface Known<K, V> {
  /** The value under `key`, if there is one. */
  get(key: K): V | undefined;
  /** Keeps `value` under `key`. */
  set(key: K, value: V): unknown;
}

/** The value under `key`, made and kept the first time. */
export function memo<K, V>(known: Known<K, V>, key: K, make: () => V): V {
  const found = known.get(key);
  if (found !== undefined) return found;
  const made = make();
  known.set(key, made);
  return made;
}

/** Whole numbers and lists of them, such as shapes and strides. */
export type Numbers = readonly (number | readonly number[])[];

/**
 * Values under `Numbers`; to find one, no text and no copy is made. Of more than `most` the ones made first are forgotten, so
 * the same numbers must always give the same.
 */
export class NumbersMemo<V> {
  readonly #most: number;
  readonly #known = new Map<number, { readonly key: Numbers; readonly value: V }>();

  constructor(most: number) {
    this.#most = most;
  }

  /** The value under `key`, made and kept the first time. Its lists must not change. */
  get(key: Numbers, make: () => V): V {
    const hash = hashOf(key);
    const found = this.#known.get(hash);
    if (found !== undefined && isSame(found.key, key)) return found.value;
    const value = make();
    this.#known.set(hash, { key, value });
    if (this.#known.size > this.#most) this.#known.delete(this.#known.keys().next().value!);
    return value;
  }
}

/** FNV-1a, and a shift that brings high bits back. */
function hashOf(key: Numbers): number {
  let hash = 0x811c9dc5;
  for (let k = 0; k < key.length; k++) {
    const entry = key[k]!;
    if (typeof entry === "number") hash = joined(hash, entry);
    else {
      hash = joined(hash, LIST + entry.length);
      for (let i = 0; i < entry.length; i++) hash = joined(hash, entry[i]!);
    }
  }
  return hash;
}
const LIST = 1 << 24;

function joined(hash: number, n: number): number {
  const mixed = Math.imul(hash ^ n, 0x01000193);
  return mixed ^ (mixed >>> 15);
}

function isSame(a: Numbers, b: Numbers): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    const x = a[i]!;
    const y = b[i]!;
    if (x === y) continue;
    if (typeof x === "number" || typeof y === "number" || x.length !== y.length) return false;
    for (let k = 0; k < x.length; k++) if (x[k] !== y[k]) return false;
  }
  return true;
}
