/** What a pickle can stand for here: data, and objects that its reader's caller makes. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleList
  | PickleDict
  | PickleObject;

/** Keys of Python dictionaries that weights and trainer states have. */
export type PickleKey = null | boolean | number | bigint | string;

/** A list, set or, when `fixed`, tuple. */
export class PickleList {
  readonly items: PickleValue[];
  readonly fixed: boolean;

  constructor(items: PickleValue[], fixed: boolean) {
    this.items = items;
    this.fixed = fixed;
  }
}

/** A dictionary in the order of its insertions; its map is made with the first entry, so that empty ones cost little. */
export class PickleDict {
  #map: Map<PickleKey, PickleValue> | undefined;

  get(key: PickleKey): PickleValue | undefined {
    return this.#map?.get(key);
  }
  set(key: PickleKey, value: PickleValue): void {
    this.#map ??= new Map();
    this.#map.set(key, value);
  }
  get size(): number {
    return this.#map?.size ?? 0;
  }
  entries(): Iterable<[PickleKey, PickleValue]> {
    return this.#map ?? [];
  }
}

/** Something that the pickle names, and what the caller knows of it; messages call it `what`. */
export abstract class PickleObject<Known = unknown> {
  readonly what: string;
  readonly known: Known;

  constructor(what: string, known: Known) {
    this.what = what;
    this.known = known;
  }
}

/** A name off the caller's list that the pickle may call. It is our own function of that name that runs, never Python's. */
export class PickleCallable extends PickleObject<(args: readonly PickleValue[]) => PickleValue> {}
