import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { NO_PACK, referenceJson } from "../../../../parity/referencePack.ts";
import { goUnion, goUnionBatch } from "./goUnion.ts";
import type { MatchedPairs } from "./matches.ts";

const pairs = (list: readonly (readonly [number, number])[]): MatchedPairs => ({
  queries: Int32Array.from(list, ([query]) => query),
  targets: Int32Array.from(list, ([, target]) => target),
});
const listOf = ({ queries, targets }: MatchedPairs) => [...queries].map((query, i) => [query, targets[i]!] as const);

/** A layer's one-to-one match of some of 8 queries with 4 targets. */
const layer = fc
  .shuffledSubarray([0, 1, 2, 3, 4, 5, 6, 7], { minLength: 4, maxLength: 4 })
  .map((queries) => pairs(queries.map((query, target) => [query, target] as const).sort(([a], [b]) => a - b)));
const layers = fc.array(layer, { minLength: 1, maxLength: 8 });

describe("goUnion", () => {
  test("the example of docs/specification.md §10", () => {
    const union = goUnion([
      pairs([
        [0, 0],
        [3, 1],
      ]),
      pairs([
        [0, 0],
        [2, 1],
      ]),
      pairs([
        [0, 1],
        [3, 1],
      ]),
      pairs([
        [5, 0],
        [2, 1],
      ]),
    ]);
    expect(listOf(union)).toEqual([
      [0, 0],
      [2, 1],
      [3, 1],
      [5, 0],
    ]);
  });

  test("each query once, with one of its most frequent targets and the lowest of those", () => {
    fc.assert(
      fc.property(layers, (matches) => {
        const union = listOf(goUnion(matches));
        const all = matches.flatMap(listOf);
        const queries = new Set(all.map(([query]) => query));
        expect(union.length).toBe(queries.size);
        for (const [query, target] of union) {
          const votes = [0, 1, 2, 3].map((t) => all.filter(([q, other]) => q === query && other === t).length);
          const most = Math.max(...votes);
          expect(most).toBeGreaterThan(0);
          expect(target).toBe(votes.indexOf(most));
        }
      }),
    );
  });

  test("counts fall and, among equals, pairs ascend", () => {
    fc.assert(
      fc.property(layers, (matches) => {
        const all = matches.flatMap(listOf);
        const ranked = listOf(goUnion(matches)).map(([query, target]) => ({
          query,
          count: all.filter(([q, t]) => q === query && t === target).length,
        }));
        for (let i = 1; i < ranked.length; i++) {
          const [before, after] = [ranked[i - 1]!, ranked[i]!];
          expect(before.count > after.count || (before.count === after.count && before.query < after.query)).toBe(true);
        }
      }),
    );
  });

  test("the order of layers does not matter, and one layer is its own union", () => {
    fc.assert(
      fc.property(layers, layer, (matches, single) => {
        expect(goUnion([...matches].reverse())).toEqual(goUnion(matches));
        expect(goUnion([single, single])).toEqual(single);
      }),
    );
  });

  test("images are merged apart, empty ones to nothing", () => {
    const none = pairs([]);
    expect(
      goUnionBatch([
        [none, pairs([[1, 0]])],
        [none, pairs([[2, 0]])],
      ]).map(listOf),
    ).toEqual([
      [],
      [
        [1, 0],
        [2, 0],
      ],
    ]);
  });

  test("agrees with the reference pack outside its ties", (context) => {
    const units =
      referenceJson<{ layers: [number[], number[]][]; union: [number[], number[]]; ambiguous_rows: number[] }[]>(
        "units/go_union.json",
      );
    if (!units) return context.skip(NO_PACK);
    for (const unit of units) {
      const union = goUnion(unit.layers.map(([queries, targets]) => pairs(queries.map((q, i) => [q, targets[i]!]))));
      const clear = (list: (readonly [number, number])[]) =>
        list.filter(([query]) => !unit.ambiguous_rows.includes(query)).sort(([a], [b]) => a - b);
      const [queries, targets] = unit.union;
      expect(clear(listOf(union))).toEqual(clear(queries.map((query, i) => [query, targets[i]!] as const)));
      expect([...union.queries].sort((a, b) => a - b)).toEqual([...queries].sort((a, b) => a - b));
    }
  });
});
