import type { Epilogue } from "@dfine/tensor/kernel";
import { printEpilogue } from "../epilogue.ts";
import { each, range } from "../text.ts";
import { type Lies, type ProductSpec, tileLines } from "./spec.ts";
import { printStores } from "./stores.ts";
import { stepLines, walkCode } from "./walkCode.ts";

/**
 * A workgroup of `threads`, each with `rows` rows and `quads` fours of columns. `lanes` neighbours in a subgroup load A
 * together, each at another k, and hand it round.
 */
export interface ShuffledShape {
  readonly kind: "shuffled";
  readonly rows: number;
  readonly quads: number;
  readonly threads: number;
  /** A power of two, at most the adapter's smallest subgroup. */
  readonly lanes: number;
}

export const shuffledSize = ({ rows, quads, threads }: ShuffledShape): [number, number] => [rows, 4 * quads * threads];

/**
 * Neither workgroup memory nor barriers: B comes from the caches in fours of columns, A by subgroup operations. All threads of
 * a workgroup have the same rows, so it does not matter which of them are in one subgroup.
 */
export function shuffledBody(
  { rows, quads, threads, lanes }: ShuffledShape,
  {
    spec: { fastest },
    lies,
    epilogue,
  }: { spec: Pick<ProductSpec, "fastest">; lies: Lies; epilogue: Epilogue | undefined },
): string {
  const [ms, qs] = [range(rows), range(quads)];
  const rowAt = (m: number): string => `tile.y * ${rows} + ${m}`;
  const columnAt = (q: number): string => `tile.x * ${4 * quads * threads} + (${q * threads} + i32(local)) * 4`;
  const placeOfA = (m: number): string =>
    `let a_place${m} = a_place(batch, min(${rowAt(m)}, ${lies.a.inFours ? "(u.m - 1) & ~3" : "u.m - 1"}));`;
  const placeOfB = (q: number): string =>
    lies.b.inFours
      ? `let b_place${q} = b_place(batch, min(${columnAt(q)}, (u.n - 1) & ~3));`
      : each(range(4), (i) => `let b_place${q}_${i} = b_place(batch, min(${columnAt(q)} + ${i}, u.n - 1));`);
  // Rows in fours are loaded by their first.
  const loaded = ms.filter((m) => !lies.a.inFours || m % 4 === 0);
  const ofA = (m: number): string => (lies.a.inFours ? `a${m - (m % 4)}[${m % 4}]` : `a${m}`);
  const loadB = (q: number): string =>
    lies.b.inFours
      ? `b${q} = b_value(b_span(b_place${q}, outer), step);`
      : `b${q} = vec4<f32>(${range(4)
          .map((i) => `b_value(b_span(b_place${q}_${i}, outer), step)`)
          .join(", ")});`;
  const turn = (k: number): string => `{
      ${each(qs, (q) => `var b${q} = vec4<f32>();`)}
      if (k + ${k} < last) {
        let outer = outer_of(b_walk.outer);
        let step = b_step(b_walk.inner);
        ${each(qs, loadB)}
      }
      b_walk = walk_on(b_walk, walk_one);
      ${each(
        ms,
        (m) => `{
        let a = vec4<f32>(subgroupShuffle(${ofA(m)}, first_lane + ${k}u));
        ${each(qs, (q) => `sum_${m}_${q} = fma(a, b${q}, sum_${m}_${q});`)}
      }`,
      )}
    }`;
  const { code, finish } = printEpilogue(epilogue, 4);
  return `
${walkCode(fastest)}
${code}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32, @builtin(subgroup_invocation_id) in_subgroup: u32) {
  let lane = i32(in_subgroup % ${lanes}u);
  let first_lane = in_subgroup - u32(lane);
  ${tileLines(lies.c === "singly" ? "u.o_c" : "4 * u.o_c")}
  let last = min((part + 1) * u.part_size, u.k);
  ${stepLines(lanes)}
  ${each(loaded, placeOfA)}
  ${each(qs, placeOfB)}
  ${each(ms, (m) => each(qs, (q) => `var sum_${m}_${q} = vec4<f32>();`))}
  var a_walk = walk_from(part * u.part_size + lane);
  var b_walk = walk_from(part * u.part_size);
  for (var k = part * u.part_size; k < last; k += ${lanes}) {
    ${each(loaded, (m) => `var a${m} = ${lies.a.inFours ? "vec4<f32>()" : "0.0"};`)}
    if (k + lane < last) {
      let outer = outer_of(a_walk.outer);
      let step = a_step(a_walk.inner);
      ${each(loaded, (m) => `a${m} = a_value(a_span(a_place${m}, outer), step);`)}
    }
    a_walk = walk_on(a_walk, walk_slice);
    ${each(range(lanes), turn)}
  }
  ${each(ms, (m) =>
    finish(
      `channel_of(batch, min(${rowAt(m)}, u.m - 1))`,
      qs.map((q) => {
        const element = (lane: number) => `c_place(batch, ${columnAt(q)} + ${lane}) + (${rowAt(m)}) * u.c_row`;
        return { sum: `sum_${m}_${q}`, column: columnAt(q), element };
      }),
    ),
  )}
  ${each(qs, (q) =>
    printStores(lies.c, {
      rows: ms.map((m) => ({ at: rowAt(m), sum: `sum_${m}_${q}` })),
      column: columnAt(q),
    }),
  )}
}`;
}
