import { each, range } from "../text.ts";
import type { Lies } from "./spec.ts";

/** Sums of a thread: rows of four columns. */
export interface Sums {
  /** In their order; any four from every fourth on are neighbours. `at` is the row's index. */
  readonly rows: readonly { readonly at: string; readonly sum: string }[];
  /** Index of the first column, a multiple of four. */
  readonly column: string;
}

/** Stores sums that are inside C, four at a time where it lies so. */
export function printStores(c: Lies["c"], { rows, column }: Sums): string {
  const inColumn = (lane: number, stores: string): string =>
    `{ let n = ${column} + ${lane}; if (n < u.n) { let to = start + c_place(batch, n); ${stores} } }`;
  switch (c) {
    case "columns":
      return inColumn(
        0,
        each(rows, ({ at, sum }) => `if (${at} < u.m) { c[(to + (${at}) * u.c_row) >> 2] = ${sum}; }`),
      );
    case "rows": {
      const quads = range(rows.length / 4).map((i) => rows.slice(4 * i, 4 * i + 4));
      return each(range(4), (lane) =>
        inColumn(
          lane,
          each(quads, (quad) => {
            const sums = quad.map(({ sum }) => `${sum}[${lane}]`).join(", ");
            return `if (${quad[0]!.at} < u.m) { c[(to + ${quad[0]!.at}) >> 2] = vec4<f32>(${sums}); }`;
          }),
        ),
      );
    }
    case "singly":
      return each(range(4), (lane) =>
        inColumn(
          lane,
          each(rows, ({ at, sum }) => `if (${at} < u.m) { c[to + (${at}) * u.c_row] = ${sum}[${lane}]; }`),
        ),
      );
    default:
      c satisfies never;
      throw new Error("unreachable: unknown way to store");
  }
}
