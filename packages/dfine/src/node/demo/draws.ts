import type { Random } from "@dfine/tensor";

/** Draws one after the other from a counter-based stream; the same on every machine. */
export interface Draws {
  /** A whole number from `low` to `high`, both included. */
  whole(low: number, high: number): number;
  /** A number in [low, high). */
  between(low: number, high: number): number;
}

/** Goes on where `random` stands. */
export function createDraws(random: Random): Draws {
  return {
    whole: (low, high) => low + random.integer(high - low + 1),
    between: (low, high) => low + random.uniform() * (high - low),
  };
}

/** RGB levels. */
export type Colour = readonly [number, number, number];

/** A colour whose channels lie within `spread` of a level. */
export function drawColour(draws: Draws, level: number, spread: number): Colour {
  const channel = () => Math.min(255, Math.max(0, level + draws.whole(-spread, spread)));
  return [channel(), channel(), channel()];
}
