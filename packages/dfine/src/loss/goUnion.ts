import type { MatchedPairs } from "./matches.ts";

/** More than an image can have: pairs are told apart by one number, which is whole up to 2⁵³. */
const MOST_TARGETS = 2 ** 26;

/**
 * Merges the matches of one image by several layers: each query goes to the target that it was matched to most often,
 * ties to the lower target. A target may keep several queries or none. Pairs come by falling count, then query.
 * D-FINE's GO union, `_get_go_indices`.
 */
export function goUnion(matches: readonly MatchedPairs[]): MatchedPairs {
  const counts = new Map<number, { query: number; target: number; count: number }>();
  for (const { queries, targets } of matches)
    for (let i = 0; i < queries.length; i++) {
      const [query, target] = [queries[i]!, targets[i]!];
      const key = query * MOST_TARGETS + target;
      const entry = counts.get(key);
      if (entry) entry.count++;
      else counts.set(key, { query, target, count: 1 });
    }
  const ordered = [...counts.values()].sort((a, b) => b.count - a.count || a.query - b.query || a.target - b.target);
  const kept = new Map<number, number>();
  for (const { query, target } of ordered) if (!kept.has(query)) kept.set(query, target);
  return { queries: Int32Array.from(kept.keys()), targets: Int32Array.from(kept.values()) };
}

/** `goUnion` for every image of a batch; `layers` holds each layer's matches per image. */
export function goUnionBatch(layers: readonly (readonly MatchedPairs[])[]): MatchedPairs[] {
  const images = layers[0]?.length ?? 0;
  return Array.from({ length: images }, (_, b) => goUnion(layers.map((layer) => layer[b]!)));
}
