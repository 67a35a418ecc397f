import type { Epilogue } from "@dfine/tensor/kernel";
import { printEpilogue } from "../epilogue.ts";
import { each, range } from "../text.ts";
import { type Lie, type Lies, type ProductSpec, type Side, tileLines } from "./spec.ts";
import { printStores } from "./stores.ts";
import { stepLines, walkCode } from "./walkCode.ts";

/** What factors are rounded to in workgroup memory; sums are float32. "rounded": to what f16 holds, on adapters that have no f16. */
export type Operands = "f32" | "f16" | "rounded";

/** A workgroup of `threads` (along rows, along columns), each with `quads` (of rows, of columns) of 4 × 4 sums. */
export interface TiledShape {
  readonly kind: "tiled";
  readonly threads: readonly [number, number];
  readonly quads: readonly [number, number];
  /** k per slice, a multiple of four. */
  readonly depth: number;
  /** Slices in workgroup memory: with two, threads store the next while others still multiply this one, and wait once for each. */
  readonly slices: 1 | 2;
  readonly operands: Operands;
}

export const tiledSize = ({ threads, quads }: TiledShape): [number, number] => [
  4 * threads[0] * quads[0],
  4 * threads[1] * quads[1],
];

export const tiledThreads = ({ threads }: TiledShape): number => threads[0] * threads[1];

/** Vectors of a factor's slice: along k in four planes (rows modulo four), whose odd pitches keep threads off each other's banks; or across. */
function layoutOf(size: number, depth: number, alongK: boolean) {
  const pitch = alongK ? (depth / 4) | 1 : size / 4 + 1;
  const plane = (size / 4) * pitch + 1;
  return {
    vectors: alongK ? 4 * plane : pitch * depth,
    /** `line` is a row or column; `quad` counts fours along k. */
    ofLine: (line: string, quad: string): string =>
      `((${line}) & 3) * ${plane} + ((${line}) >> 2) * ${pitch} + ${quad}`,
    ofQuad: (quad: string, lane: number, k: string): string => `${lane * plane} + (${quad}) * ${pitch} + ${k}`,
    /** `quad` counts fours of rows or columns. */
    across: (k: string, quad: string): string => `(${k}) * ${pitch} + ${quad}`,
  };
}

/** Bytes of workgroup memory. */
export function tiledBytes(shape: TiledShape, { a, b }: Pick<Lies, Side>): number {
  const [rows, columns] = tiledSize(shape);
  const vectors = [layoutOf(rows, shape.depth, a.alongK), layoutOf(columns, shape.depth, b.alongK)];
  return vectors.reduce((sum, one) => sum + one.vectors, 0) * shape.slices * (shape.operands === "f16" ? 8 : 16);
}

interface Factor {
  readonly side: Side;
  readonly size: number;
  readonly lie: Lie;
  readonly limit: "u.m" | "u.n";
  readonly axis: "y" | "x";
  readonly layout: ReturnType<typeof layoutOf>;
}

/** How the threads of a workgroup load a slice of a factor, vector by vector. */
interface Loads {
  /** Where a thread's vectors come from, and where they go in a slice. */
  readonly places: string;
  /** Reads the vectors of the slice at `following`, zeros from `last` on, and goes on to the next. */
  readonly fetch: string;
  store(round: string): string;
}

function loadsOf(
  { side, size, lie, limit, axis, layout }: Factor,
  { depth, count }: { depth: number; count: number },
): Loads {
  const total = (size * depth) / 4;
  const { alongK, inFours } = lie;
  // Vectors next to each other in memory; where a workgroup loads whole rows of them, each thread stays in its place of a row.
  const neighbours = (alongK ? depth : size) / 4;
  const staysInRow = count % neighbours === 0;
  const ids = range(Math.ceil(total / count)).map((i) => `${side}${i}`);
  const mayLack = (i: number): boolean => (i + 1) * count > total;
  /** The load that shares a load's walk along k, or its lines. */
  const walkOf = (i: number): string => (alongK && staysInRow ? `${side}0` : ids[i]!);
  const linesOf = (i: number): string => (!alongK && staysInRow ? `${side}0` : ids[i]!);

  const line = (text: string): string => `${side}_place(batch, min(${text}, ${limit} - 1))`;
  const findLines = (id: string): string =>
    alongK
      ? `let place_${id} = ${line(`tile.${axis} * ${size} + row_${id}`)};`
      : inFours
        ? `let place_${id} = ${side}_place(batch, min(tile.${axis} * ${size} + column_${id} * 4, (${limit} - 1) & ~3));`
        : each(range(4), (v) => `let place_${id}_${v} = ${line(`tile.${axis} * ${size} + column_${id} * 4 + ${v}`)};`);
  const places = each(ids, (id) => {
    const i = ids.indexOf(id);
    return `
  let index_${id} = local + ${i * count};
  let row_${id} = index_${id} / ${neighbours};
  let column_${id} = index_${id} % ${neighbours};
  let at_${id} = ${alongK ? layout.ofLine(`row_${id}`, `column_${id}`) : layout.across(`row_${id}`, `column_${id}`)};
  let k_${id} = ${alongK ? `column_${id} * 4` : `row_${id}`};
  ${linesOf(i) === id ? findLines(id) : ""}
  ${walkOf(i) === id ? `var walk_${id} = walk_from(part * u.part_size + k_${id});` : ""}
  var next_${id} = vec4<f32>();`;
  });

  // Of vectors along k, element by element, each has indices of its own.
  const steps = range(alongK && !inFours ? 4 : 1);
  const findSteps = (id: string): string => `
      ${each(
        steps,
        (v) => `let walk_${id}_${v} = ${v === 0 ? `walk_${id}` : `walk_on(walk_${id}_${v - 1}, walk_one)`};
      let is_${id}_${v} = following + k_${id} + ${v} < last;
      let outer_${id}_${v} = outer_of(select(0, walk_${id}_${v}.outer, is_${id}_${v}));
      let step_${id}_${v} = ${side}_step(select(0, walk_${id}_${v}.inner, is_${id}_${v}));`,
      )}
      walk_${id} = walk_on(walk_${id}, walk_slice);`;
  const read = (i: number): string => {
    const [walk, lines] = [walkOf(i), linesOf(i)];
    const value = (place: string, v = 0): string =>
      `${side}_value(${side}_span(place_${place}, outer_${walk}_${v}), step_${walk}_${v})`;
    const vector = inFours
      ? value(lines)
      : `vec4<f32>(${range(4)
          .map((v) => (alongK ? `select(0.0, ${value(lines, v)}, is_${walk}_${v})` : value(`${lines}_${v}`)))
          .join(", ")})`;
    const whole = steps.length > 1 ? vector : `select(vec4<f32>(), ${vector}, is_${walk}_0)`;
    return `next_${ids[i]} = ${whole};`;
  };
  const fetch = each(range(ids.length), (i) => `${walkOf(i) === ids[i] ? findSteps(ids[i]!) : ""} ${read(i)}`);
  const store = (round: string): string =>
    each(range(ids.length), (i) => {
      const to = `${side}_tile[slice_${side} + at_${ids[i]}] = ${round}(next_${ids[i]});`;
      return mayLack(i) ? `if (index_${ids[i]} < ${total}) { ${to} }` : to;
    });
  return { places, fetch, store };
}

const STORED: Record<Operands, { type: string; round: string }> = {
  f32: { type: "vec4<f32>", round: "" },
  f16: { type: "vec4<f16>", round: "vec4<f16>" },
  rounded: { type: "vec4<f32>", round: "quantizeToF16" },
};

/**
 * A workgroup computes a tile of C: its threads fetch a slice of A and of B into workgroup memory, the next one while they
 * multiply this one, and each keeps `quads` of 4 × 4 sums in registers.
 */
export function tiledBody(
  shape: TiledShape,
  {
    spec: { fastest },
    lies,
    epilogue,
  }: { spec: Pick<ProductSpec, "fastest">; lies: Lies; epilogue: Epilogue | undefined },
): string {
  const { threads, quads, depth, slices, operands } = shape;
  const count = tiledThreads(shape);
  const [rows, columns] = tiledSize(shape);
  const factor = (side: Side, size: number): Factor => ({
    ...{ side, size, lie: lies[side], limit: side === "a" ? "u.m" : "u.n", axis: side === "a" ? "y" : "x" },
    layout: layoutOf(size, depth, lies[side].alongK),
  });
  const factors = [factor("a", rows), factor("b", columns)] as const;
  const [a, b] = factors;
  const { type, round } = STORED[operands];
  const sides = factors.map((f) => loadsOf(f, { depth, count }));
  const store = (): string => each(sides, (side) => side.store(round));

  const [rowQuads, columnQuads] = [range(quads[0]), range(quads[1])];
  const sumRows = range(4 * quads[0]);
  const columnAt = (quad: number): string => `tile.x * ${columns} + (${quad * threads[1]} + thread.x) * 4`;
  const rowAt = (row: number): string => `first_row + ${(row >> 2) * threads[0] * 4 + (row & 3)}`;
  const sums = (row: number) =>
    columnQuads.map((quad) => {
      const column = columnAt(quad);
      const element = (lane: number) => `c_place(batch, ${column} + ${lane}) + (${rowAt(row)}) * u.c_row`;
      return { sum: `sum_${row}_${quad}`, column, element };
    });
  /** Loads four k of a thread's lines of a factor; along k a vector for each line, across it one for each k. */
  const loadQuad = (
    { side, lie, layout }: Factor,
    i: number,
    { along, thread }: { along: number; thread: string },
  ): string =>
    each(range(4), (v) => {
      const at = lie.alongK
        ? layout.ofQuad(`${i * along} + ${thread}`, v, "quad")
        : layout.across(`quad * 4 + ${v}`, `${i * along} + ${thread}`);
      return `let ${side}${i}_${v} = vec4<f32>(${side}_tile[slice_${side} + ${at}]);`;
    });
  const ofA = (row: number, k: number): string =>
    a.lie.alongK ? `a${row >> 2}_${row & 3}[${k}]` : `a${row >> 2}_${k}[${row & 3}]`;
  const ofB = (quad: number, k: number): string =>
    b.lie.alongK
      ? `vec4<f32>(${range(4)
          .map((c) => `b${quad}_${c}[${k}]`)
          .join(", ")})`
      : `b${quad}_${k}`;
  const multiply = `
    for (var quad = 0; quad < ${depth / 4}; quad++) {
      ${each(rowQuads, (i) => loadQuad(a, i, { along: threads[0], thread: "thread.y" }))}
      ${each(columnQuads, (i) => loadQuad(b, i, { along: threads[1], thread: "thread.x" }))}
      ${each(range(4), (k) =>
        each(
          columnQuads,
          (quad) => `
      let column_${quad}_${k} = ${ofB(quad, k)};
      ${each(sumRows, (row) => `sum_${row}_${quad} = fma(vec4<f32>(${ofA(row, k)}), column_${quad}_${k}, sum_${row}_${quad});`)}`,
        ),
      )}
    }`;
  const { code, finish } = printEpilogue(epilogue, 4);
  return `
${each(factors, ({ side, layout }) => `var<workgroup> ${side}_tile: array<${type}, ${layout.vectors * slices}>;`)}
${walkCode(fastest)}
${code}
@compute @workgroup_size(${count})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local_index: u32) {
  let local = i32(local_index);
  let thread = vec2<i32>(local % ${threads[1]}, local / ${threads[1]});
  ${tileLines(lies.c === "singly" ? "u.o_c" : "4 * u.o_c")}
  let last = min((part + 1) * u.part_size, u.k);
  ${stepLines(depth)}
  ${each(sides, ({ places }) => places)}
  ${each(sumRows.flatMap(sums), ({ sum }) => `var ${sum} = vec4<f32>();`)}
  var slice_a = 0;
  var slice_b = 0;
  let first = part * u.part_size;
  // The first turn only fetches, the last only multiplies.
  for (var base = first - ${depth}; base < last; base += ${depth}) {
    let following = base + ${depth};
    if (following < last) { ${each(sides, ({ fetch }) => fetch)} }
    if (base >= first) { ${multiply} }
    if (following < last) {
      ${
        slices === 1
          ? "workgroupBarrier();"
          : `slice_a = ${a.layout.vectors} - slice_a;
      slice_b = ${b.layout.vectors} - slice_b;`
      }
      ${store()}
      workgroupBarrier();
    }
  }
  let first_row = tile.y * ${rows} + thread.y * 4;
  ${each(sumRows, (row) => finish(`channel_of(batch, min(${rowAt(row)}, u.m - 1))`, sums(row)))}
  ${each(columnQuads, (quad) =>
    printStores(lies.c, {
      rows: sumRows.map((row) => ({ at: rowAt(row), sum: `sum_${row}_${quad}` })),
      column: columnAt(quad),
    }),
  )}
}`;
}
