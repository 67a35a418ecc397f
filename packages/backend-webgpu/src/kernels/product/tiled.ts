import { type Epilogue, printEpilogue } from "../epilogue.ts";
import { each, range } from "../text.ts";
import { TILE_LINES } from "./spec.ts";

/** Threads of a workgroup along rows and columns, quads of rows and columns that each computes, and k per tile. */
export interface TiledShape {
  readonly kind: "tiled";
  readonly threads: readonly [number, number];
  readonly quads: readonly [number, number];
  readonly depth: number;
}

export const tiledSize = ({ threads, quads }: TiledShape): [number, number] => [
  4 * threads[0] * quads[0],
  4 * threads[1] * quads[1],
];

/** What differs between the factors: A has rows, B columns. */
interface Side {
  readonly name: "a" | "b";
  readonly type: "APlace" | "BPlace";
  /** Rows or columns of a tile. */
  readonly size: number;
  readonly limit: "u.m" | "u.n";
  readonly axis: "y" | "x";
}

/** Reads four rows or columns at one k; zeros from `last` on. */
const loadFunction = ({ name, type }: Side, fastest: "outer" | "inner"): string => `
fn ${name}_load(places: array<${type}, 4>, flat: i32, last: i32) -> vec4<f32> {
  let k = min(flat, last - 1);
  ${fastest === "outer" ? "let inner = k / u.outer; let outer = k - inner * u.outer;" : "let outer = k / u.inner; let inner = k - outer * u.inner;"}
  let at = outer_of(outer);
  let step = ${name}_step(inner);
  let values = vec4<f32>(${range(4)
    .map((i) => `${name}_value(${name}_span(places[${i}], at), step)`)
    .join(", ")});
  return select(vec4<f32>(), values, flat < last);
}`;

/**
 * A workgroup computes a tile of C: its threads fetch a slice of A and of B into workgroup memory, the next one while they
 * multiply this one, and each keeps `quads` of 4 × 4 sums in registers.
 */
export function tiledBody(
  shape: TiledShape,
  { fastest, epilogue }: { fastest: "outer" | "inner"; epilogue: Epilogue | undefined },
): string {
  const { threads, quads, depth } = shape;
  const count = threads[0] * threads[1];
  const [rows, columns] = tiledSize(shape);
  const sides: readonly Side[] = [
    { name: "a", type: "APlace", size: rows, limit: "u.m", axis: "y" },
    { name: "b", type: "BPlace", size: columns, limit: "u.n", axis: "x" },
  ];
  // One vec4 between slices keeps neighbours in k off each other's banks.
  const pitch = (side: Side): number => side.size / 4 + 1;
  const loads = sides.flatMap((side) =>
    range((side.size * depth) / 4 / count).map((i) => ({ side, id: `${side.name}${i}`, index: i * count })),
  );

  const findPlaces = ({ side: { name, type, size, limit, axis }, id, index }: (typeof loads)[number]): string => {
    const place = (i: number): string => `${name}_place(batch, min(first_${id} + ${i}, ${limit} - 1))`;
    return `
  let index_${id} = local + ${index};
  let k_${id} = select(index_${id} / ${size / 4}, index_${id} % ${depth}, u.${name}_along_k == 1);
  let quad_${id} = select(index_${id} % ${size / 4}, index_${id} / ${depth}, u.${name}_along_k == 1);
  let first_${id} = tile.${axis} * ${size} + quad_${id} * 4;
  let places_${id} = array<${type}, 4>(${range(4).map(place).join(", ")});`;
  };
  const fetch = (k: string): string =>
    each(loads, ({ side, id }) => `next_${id} = ${side.name}_load(places_${id}, ${k} + k_${id}, last);`);

  const [sumRows, sumQuads] = [range(4 * quads[0]), range(quads[1])];
  const sums = (row: number): string[] => sumQuads.map((quad) => `sum_${row}_${quad}`);
  const multiply = (row: number): string =>
    each(sumQuads, (quad) => {
      const sum = sums(row)[quad];
      return `${sum} = fma(vec4<f32>(a${row >> 2}[${row & 3}]), b${quad}, ${sum});`;
    });
  const rowAt = (row: number): string => `first_row + ${(row >> 2) * threads[0] * 4 + (row & 3)}`;
  const { code, finish } = printEpilogue(epilogue, 4);
  const store = (quad: number, lane: number): string => `
  let n_${quad}_${lane} = tile.x * ${columns} + (${quad * threads[1]} + thread.x) * 4 + ${lane};
  if (n_${quad}_${lane} < u.n) {
    let to = start + c_place(batch, n_${quad}_${lane});
    ${each(sumRows, (row) => `if (${rowAt(row)} < u.m) { c[to + (${rowAt(row)}) * u.c_row] = ${sums(row)[quad]}[${lane}]; }`)}
  }`;

  return `
${each(sides, (side) => `var<workgroup> ${side.name}_tile: array<vec4<f32>, ${pitch(side) * depth}>;`)}
${each(sides, (side) => loadFunction(side, fastest))}
${code}
@compute @workgroup_size(${count})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local_index: u32) {
  let local = i32(local_index);
  let thread = vec2<i32>(local % ${threads[1]}, local / ${threads[1]});
  ${TILE_LINES}
  let last = min((part + 1) * u.part_size, u.k);
  ${each(loads, findPlaces)}
  ${each(loads, ({ id }) => `var next_${id} = vec4<f32>();`)}
  ${each(sumRows.flatMap(sums), (sum) => `var ${sum} = vec4<f32>();`)}
  if (part * u.part_size < last) {
    ${fetch("part * u.part_size")}
  }
  for (var base = part * u.part_size; base < last; base += ${depth}) {
    ${each(loads, ({ side, id }) => `${side.name}_tile[k_${id} * ${pitch(side)} + quad_${id}] = next_${id};`)}
    workgroupBarrier();
    if (base + ${depth} < last) {
      ${fetch(`base + ${depth}`)}
    }
    for (var k = 0; k < ${depth}; k++) {
      ${each(range(quads[0]), (i) => `let a${i} = a_tile[k * ${pitch(sides[0]!)} + ${i * threads[0]} + thread.y];`)}
      ${each(sumQuads, (i) => `let b${i} = b_tile[k * ${pitch(sides[1]!)} + ${i * threads[1]} + thread.x];`)}
      ${each(sumRows, multiply)}
    }
    workgroupBarrier();
  }
  let first_row = tile.y * ${rows} + thread.y * 4;
  ${each(sumRows, (row) => finish(`channel_of(batch, min(${rowAt(row)}, u.m - 1))`, sums(row)))}
  ${each(sumQuads, (quad) => each(range(4), (lane) => store(quad, lane)))}
}`;
}
