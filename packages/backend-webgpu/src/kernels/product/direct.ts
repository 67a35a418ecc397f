import { type Epilogue, printEpilogue } from "../epilogue.ts";
import { range, TILE_LINES } from "./spec.ts";

/**
 * A quad of threads, which is a workgroup, computes `rows` rows and 4 · `columns` columns. `shares`: its threads load
 * different k of A and hand them round.
 */
export interface DirectShape {
  readonly kind: "direct";
  readonly rows: number;
  readonly columns: number;
  readonly shares: boolean;
}

export const directSize = ({ rows, columns }: DirectShape): [number, number] => [rows, 4 * columns];

/**
 * For adapters in software: no barriers, all sums of a thread in registers. There a load costs as much as many products, and
 * values that live from one turn of a loop to the next are copied: so threads share loads, and four k make a turn. Loops test
 * at their end: branches are masks there, and one that tests first runs its body once more for nothing. (SwiftShader gets
 * such a loop wrong unless all threads leave it together, as here.)
 */
export function directBody(shape: DirectShape, epilogue: Epilogue | undefined): string {
  const { rows, columns, shares } = shape;
  const [ms, ns] = [range(rows), range(columns)];
  const multiply = (k: string, a: (m: number) => string): string =>
    [
      `let b_at = b_step(${k});`,
      ...ns.map((n) => `let b${n} = b_value(b_span${n}, b_at);`),
      ...ms.flatMap((m) => [`let x${m} = ${a(m)};`, ...ns.map((n) => `sum_${m}_${n} += x${m} * b${n};`)]),
    ].join(" ");
  const alone = multiply("k", (m) => `a_value(a_span${m}, a_at)`);
  const shared = `if (count >= 4) {
      loop {
        let a_at = a_step(k + lane);
        ${ms.map((m) => `let a${m} = a_value(a_span${m}, a_at);`).join("\n        ")}
        ${range(4)
          .map((i) => `{ ${multiply(`k + ${i}`, (m) => `quadBroadcast(a${m}, ${i}u)`)} }`)
          .join("\n        ")}
        continuing { k += 4; break if k + 4 > count; }
      }
    }`;
  const { code, finish } = printEpilogue(epilogue, 1);
  const finished = ms.map((m) =>
    finish(
      `channel_of(batch, min(first_row + ${m}, u.m - 1))`,
      ns.map((n) => `sum_${m}_${n}`),
    ),
  );
  const store = ns.map(
    (n) => `
  if (first_column + ${4 * n} < u.n) {
    let to = start + c_place(batch, first_column + ${4 * n});
    ${ms.map((m) => `if (first_row + ${m} < u.m) { c[to + (first_row + ${m}) * u.c_row] = sum_${m}_${n}; }`).join("\n    ")}
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
  ${ms.map((m) => `let a_place${m} = a_place(batch, min(first_row + ${m}, u.m - 1));`).join("\n  ")}
  ${ns.map((n) => `let b_place${n} = b_place(batch, min(first_column + ${4 * n}, u.n - 1));`).join("\n  ")}
  ${ms.flatMap((m) => ns.map((n) => `var sum_${m}_${n} = 0.0;`)).join(" ")}
  let last = min((part + 1) * u.part_size, u.outer);
  var outer = part * u.part_size;
  if (outer < last) {
    loop {
    let at = outer_of(outer);
    ${ms.map((m) => `let a_span${m} = a_span(a_place${m}, at);`).join("\n    ")}
    ${ns.map((n) => `let b_span${n} = b_span(b_place${n}, at);`).join("\n    ")}
    let count = min(u.inner, u.k - outer * u.inner);
    var k = 0;
    ${shares ? shared : ""}
    if (k < count) {
      loop {
        let a_at = a_step(k);
        ${alone}
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
