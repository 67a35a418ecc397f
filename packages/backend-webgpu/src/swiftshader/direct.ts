import type { Epilogue } from "@dfine/tensor/kernel";
import { printEpilogue } from "../kernels/epilogue.ts";
import { tileLines } from "../kernels/product/spec.ts";
import { each, range } from "../kernels/text.ts";

/**
 * A quad of threads, which is a workgroup, computes `rows` rows and 4 · `columns` columns. `shares`: its threads load
 * different rows of A and hand them round.
 */
export interface DirectShape {
  readonly kind: "direct";
  readonly rows: number;
  readonly columns: number;
  readonly shares: boolean;
}

/** How a thread gets the value of the one whose number differs in these bits. */
const SWAPS = ["", "quadSwapX", "quadSwapY", "quadSwapDiagonal"];

export const directSize = ({ rows, columns }: DirectShape): [number, number] => [rows, 4 * columns];

/**
 * For adapters in software: no barriers, all sums of a thread in registers. There a load costs as much as many products, so
 * threads that share load one row each of up to four, and swap them with each neighbour in turn: at swap s a thread holds the
 * row of the thread whose number differs in the bits of s. The loop's body stays small, or it leaves the caches of code.
 * Loops test at their end: branches are masks there, and one that tests first runs its body once more for nothing. (SwiftShader
 * gets such a loop wrong unless all threads leave it together, as here.)
 */
export function directBody(shape: DirectShape, epilogue: Epilogue | undefined): string {
  const { rows, columns, shares } = shape;
  const [ms, ns] = [range(rows), range(columns)];
  const swaps = shares ? Math.min(rows, SWAPS.length) : 1;
  const loaded = ms.filter((m) => m % swaps === 0);
  const source = (m: number): number => m - (m % swaps);
  const rowOf = (m: number): string => `first_row + ${source(m)} + ((lane ^ ${m % swaps}) & ${swaps - 1})`;
  const multiply = (m: number): string => `
        let x${m} = ${SWAPS[m % swaps]}(a${source(m)});
        ${each(ns, (n) => `sum_${m}_${n} += x${m} * b${n};`)}`;
  const { code, finish } = printEpilogue(epilogue, 1);
  const sums = (m: number) =>
    ns.map((n) => {
      const column = `first_column + ${4 * n}`;
      return { sum: `sum_${m}_${n}`, column, element: () => `c_place(batch, ${column}) + row${m} * u.c_row` };
    });
  const store = (n: number): string => `
  if (first_column + ${4 * n} < u.n) {
    let to = start + c_place(batch, first_column + ${4 * n});
    ${each(ms, (m) => `if (row${m} < u.m) { c[to + row${m} * u.c_row] = sum_${m}_${n}; }`)}
  }`;
  return `
${code}
@compute @workgroup_size(4)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(${shares ? "subgroup_invocation_id" : "local_invocation_index"}) in_quad: u32) {
  let lane = i32(in_quad & 3u);
  ${tileLines("u.o_c")}
  let first_row = tile.y * ${rows};
  let first_column = tile.x * ${4 * columns} + lane;
  ${each(ms, (m) => `let row${m} = ${rowOf(m)};`)}
  ${each(loaded, (m) => `let a_place${m} = a_place(batch, min(row${m}, u.m - 1));`)}
  ${each(ns, (n) => `let b_place${n} = b_place(batch, min(first_column + ${4 * n}, u.n - 1));`)}
  ${each(ms.flatMap(sums), ({ sum }) => `var ${sum} = 0.0;`)}
  let last = min((part + 1) * u.part_size, u.outer);
  var outer = part * u.part_size;
  if (outer < last) {
    loop {
    let at = outer_of(outer);
    ${each(loaded, (m) => `let a_span${m} = a_span(a_place${m}, at);`)}
    ${each(ns, (n) => `let b_span${n} = b_span(b_place${n}, at);`)}
    let count = min(u.inner, u.k - outer * u.inner);
    var k = 0;
    if (k < count) {
      loop {
        let a_at = a_step(k);
        let b_at = b_step(k);
        ${each(ns, (n) => `let b${n} = b_value(b_span${n}, b_at);`)}
        ${each(loaded, (m) => `let a${m} = a_value(a_span${m}, a_at);`)}
        ${each(ms, multiply)}
        continuing { k++; break if k >= count; }
      }
    }
    continuing { outer++; break if outer >= last; }
    }
  }
  ${each(ms, (m) => finish(`channel_of(batch, min(row${m}, u.m - 1))`, sums(m)))}
  ${each(ns, store)}
}`;
}
