import { type RandomKey, uniformAt } from "./ops/uniform.ts";

/** Where a stream of random numbers stands: enough to go on exactly there. */
export interface RandomState {
  readonly key: RandomKey;
  readonly position: number;
}

/** Host-side random numbers from a counter: the same for a seed everywhere, and resumable from `state`. */
export class Random {
  readonly #key: RandomKey;
  #position: number;

  constructor(seed: number | RandomState) {
    const state =
      typeof seed === "number" ? { key: [seed | 0, Math.floor(seed / 2 ** 32) | 0] as const, position: 0 } : seed;
    this.#key = state.key;
    this.#position = state.position;
  }

  get state(): RandomState {
    return { key: this.#key, position: this.#position };
  }

  /** An independent stream named by a text, such as a parameter's name or an epoch. */
  fork(name: string): Random {
    let hash = 0x811c9dc5;
    for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193);
    return new Random({
      key: [Math.imul(this.#key[0], 0x9e3779b1) ^ hash, Math.imul(this.#key[1] + 1, 0x85ebca6b) ^ (hash >>> 3)],
      position: 0,
    });
  }

  /** Uniform in [0, 1). */
  uniform(): number {
    return uniformAt(this.#key, this.#position++);
  }

  /** Uniform whole number in 0…below−1. */
  integer(below: number): number {
    return Math.floor(this.uniform() * below);
  }

  /** Standard normal (Box–Muller). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** 0…n−1 in random order (Fisher–Yates). */
  permutation(n: number): Int32Array {
    const order = Int32Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    return order;
  }
}
