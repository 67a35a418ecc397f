import { randomBits } from "../../data/random.ts";

/** Draws one after the other from a counter-based stream; the same on every machine. */
export interface Draws {
  /** A whole number from `low` to `high`, both included. */
  whole(low: number, high: number): number;
  /** A number in [low, high). */
  between(low: number, high: number): number;
}

/** Starts at the beginning of stream `key`. */
export function createDraws(key: number): Draws {
  let counter = 0;
  const fraction = () => randomBits(key, counter++) / 0x100000000;
  return {
    whole: (low, high) => low + Math.floor(fraction() * (high - low + 1)),
    between: (low, high) => low + fraction() * (high - low),
  };
}

/** RGB levels. */
export type Colour = readonly [number, number, number];

/** A colour whose channels lie within `spread` of a level. */
export function drawColour(draws: Draws, level: number, spread: number): Colour {
  const channel = () => Math.min(255, Math.max(0, level + draws.whole(-spread, spread)));
  return [channel(), channel(), channel()];
}
