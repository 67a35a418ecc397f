import type { Random } from "@dfine/tensor";

/** Draws one after the other from where a counter-based stream stands; the same on every machine. */
export const createDraws = (random: Random) => ({
  /** A whole number from `low` to `high`, both included. */
  whole: (low: number, high: number) => low + random.integer(high - low + 1),
  /** A number in [low, high). */
  between: (low: number, high: number) => low + random.uniform() * (high - low),
});
export type Draws = ReturnType<typeof createDraws>;

/** RGB levels. */
export type Colour = readonly [number, number, number];

/** A colour whose channels lie within `spread` of a level. */
export function drawColour(draws: Draws, level: number, spread: number): Colour {
  const channel = () => Math.min(255, Math.max(0, level + draws.whole(-spread, spread)));
  return [channel(), channel(), channel()];
}
