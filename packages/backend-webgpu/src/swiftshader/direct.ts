import { type Epilogue, printEpilogue } from "../kernels/epilogue.ts";
import { range, TILE_LINES } from "../kernels/product/spec.ts";

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
  const multiply = [
    ...ns.map((n) => `let b${n} = b_value(b_span${n}, b_at);`),
    ...loaded.map((m) => `let a${m} = a_value(a_span${m}, a_at);`),
    ...ms.flatMap((m) => [
      `let x${m} = ${SWAPS[m % swaps]}(a${source(m)});`,
      ...ns.map((n) => `sum_${m}_${n} += x${m} * b${n};`),
    ]),
  ];
  const { code, finish } = printEpilogue(epilogue, 1);
  const finished = ms.map((m) =>
    finish(
      `channel_of(batch, min(row${m}, u.m - 1))`,
      ns.map((n) => `sum_${m}_${n}`),
    ),
  );
  const store = ns.map(
    (n) => `
  if (first_column + ${4 * n} < u.n) {
    let to = start + c_place(batch, first_column + ${4 * n});
    ${ms.map((m) => `if (row${m} < u.m) { c[to + row${m} * u.c_row] = sum_${m}_${n}; }`).join("\n    ")}
  }`,
  );
  return `
${code}
@compute @workgroup_size(4)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(${shares ? "subgroup_invocation_id" : "local_invocation_index"}) in_quad: u32) {
  let lane = i32(in_quad & 3u);
  ${TILE_LINES}
  let first_row = tile.y * ${rows};
  let first_column = tile.x * ${4 * columns} + lane;
  ${ms.map((m) => `let row${m} = ${rowOf(m)};`).join("\n  ")}
  ${loaded.map((m) => `let a_place${m} = a_place(batch, min(row${m}, u.m - 1));`).join("\n  ")}
  ${ns.map((n) => `let b_place${n} = b_place(batch, min(first_column + ${4 * n}, u.n - 1));`).join("\n  ")}
  ${ms.flatMap((m) => ns.map((n) => `var sum_${m}_${n} = 0.0;`)).join(" ")}
  let last = min((part + 1) * u.part_size, u.outer);
  var outer = part * u.part_size;
  if (outer < last) {
    loop {
    let at = outer_of(outer);
    ${loaded.map((m) => `let a_span${m} = a_span(a_place${m}, at);`).join("\n    ")}
    ${ns.map((n) => `let b_span${n} = b_span(b_place${n}, at);`).join("\n    ")}
    let count = min(u.inner, u.k - outer * u.inner);
    var k = 0;
    if (k < count) {
      loop {
        let a_at = a_step(k);
        let b_at = b_step(k);
        ${multiply.join("\n        ")}
        continuing { k++; break if k >= count; }
      }
    }
    continuing { outer++; break if outer >= last; }
    }
  }
  ${finished.join("\n  ")}
  ${store.join("\n")}
}`;
}
