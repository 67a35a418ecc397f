/** What a device computes in a second. */
export interface Pace {
  /** Multiplications, in products. */
  readonly products: number;
  /** Elements that other kernels visit. */
  readonly visits: number;
}

/** What is known of an adapter before anything is measured. */
export type AdapterKind = "discrete" | "integrated" | "unknown" | "software";

/** Seconds that a dispatch may take, and so all that goes to the device together: systems reset a GPU whose commands take some seconds. */
const LONGEST = 0.1;

/** High where a card has memory of its own; low where a GPU may be small, until it is measured. Software is never measured. */
export const FIRST_PACE: Readonly<Record<AdapterKind, Pace>> = {
  discrete: { products: 1e12, visits: 2e10 },
  integrated: { products: 2 ** 31, visits: 2 ** 31 },
  unknown: { products: 2 ** 31, visits: 2 ** 31 },
  software: { products: 2 ** 32, visits: 2 ** 32 },
};

/** After each loss of a device its adapter is asked for this share of what it was asked for before. */
const AFTER_LOSS = 1 / 8;

/** By adapter: the share of its pace that it is asked for. A process remembers it for its next device. */
const shares = new Map<string, number>();

/** The device of an adapter was lost while it computed. */
export const rememberLoss = (adapter: string): void => void shares.set(adapter, shareOf(adapter) * AFTER_LOSS);
const shareOf = (adapter: string): number => shares.get(adapter) ?? 1;

/** How much work goes to a device at a time. Longer work is cut, which changes no result. */
export interface Limits {
  /** Element visits of a dispatch, and of all that is submitted together. */
  readonly visits: number;
  /** Multiplications of a product's dispatch. */
  readonly products: number;
  /** Visits that take as long as so many multiplications of a product. */
  asVisits(multiplications: number): number;
}

/** The limits of a device, as assumed and then as measured. */
export class WorkLimits implements Limits {
  readonly #adapter: string;
  #pace: Pace;

  /** `adapter` tells one adapter from another. */
  constructor(adapter: string, pace: Pace) {
    this.#adapter = adapter;
    this.#pace = pace;
  }

  /** Sets what was measured in place of what was assumed. */
  measured(pace: Pace): void {
    this.#pace = pace;
  }

  get visits(): number {
    return this.#limit(this.#pace.visits);
  }

  get products(): number {
    return this.#limit(this.#pace.products);
  }

  asVisits(multiplications: number): number {
    return (multiplications * this.#pace.visits) / this.#pace.products;
  }

  #limit(pace: number): number {
    return Math.max(1, Math.floor(pace * LONGEST * shareOf(this.#adapter)));
  }
}
