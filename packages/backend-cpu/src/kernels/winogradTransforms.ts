import type { Assembler, Local } from "../wasm/assembler.ts";
import type { Op } from "../wasm/opcodes.ts";
import { storeRow } from "../wasm/vectors.ts";
import { smaller } from "./args.ts";

// Every lane is a tile of its own. Two vectors at a time, as two merge into one where that is asked for.
const PAIR = [0, 1] as const;

/** Rows of Bᵀ: a sum or a difference of two of four values. */
const INPUT_STEPS: readonly (readonly [a: number, op: Op, b: number])[] = [
  [0, "f32x4.sub", 2],
  [1, "f32x4.add", 2],
  [2, "f32x4.sub", 1],
  [1, "f32x4.sub", 3],
];

export interface InputTransform {
  /** Address of the first tile's top left value in a padded plane that is dealt out to two phases along each axis. */
  readonly source: Local;
  /** Bytes from row to row of a phase, and from phase to phase. */
  readonly rowBytes: Local;
  readonly phaseBytes: Local;
  /** Address of the first part, and bytes from part to part. */
  readonly to: Local;
  readonly toPart: Local;
  /** Vectors of four tiles: an even number. */
  readonly vectors: number;
}

/** Writes Bᵀ d B of neighbouring tiles d [4, 4] of a plane: a row of tiles for each of the sixteen parts. */
export function transformInput(f: Assembler, transform: InputTransform): void {
  const { source, rowBytes, phaseBytes, to, toPart, vectors } = transform;
  const at = f.local("i32");
  // Even and odd columns of the tiles' four rows.
  const rows = Array.from({ length: 4 }, () => f.locals("i32", 2));
  const columns = Array.from({ length: 4 }, () => f.locals("v128", 2));
  const parts = Array.from({ length: 4 }, () => f.locals("v128", 2));
  f.get(source).set(rows[0]![0]);
  f.get(source, phaseBytes).i32(1).op("i32.shl", "i32.add").set(rows[1]![0]);
  for (const i of [2, 3])
    f.get(rows[i - 2]![0], rowBytes)
      .op("i32.add")
      .set(rows[i]![0]);
  for (const [even, odd] of rows) f.get(even, phaseBytes).op("i32.add").set(odd);
  const load = (i: number, j: number, v: number) => f.get(rows[i]![j % 2]!).memory("v128.load", (j >> 1) * 4 + v * 16);
  for (let first = 0; first < vectors; first += PAIR.length) {
    f.get(to).set(at);
    for (const [a, op, b] of INPUT_STEPS) {
      for (const [j, column] of columns.entries())
        for (const v of PAIR) {
          load(a, j, first + v);
          load(b, j, first + v);
          f.op(op).set(column[v]);
        }
      for (const [i, [c, across, d]] of INPUT_STEPS.entries())
        for (const v of PAIR) f.get(columns[c]![v]!, columns[d]![v]!).op(across).set(parts[i]![v]!);
      for (const part of parts) {
        storeRow(f, part, at, first * 16);
        f.get(at, toPart).op("i32.add").set(at);
      }
    }
  }
  f.release(at, ...rows.flat(), ...columns.flat(), ...parts.flat());
}

/** Writes A d Aᵀ of neighbouring tiles d [2, 2] of outputs as `transformInput` does, but for the sign of A's last row: `winogradWeightSums.ts` sees to it. */
export function transformGradient(f: Assembler, { source, phaseBytes, to, toPart, vectors }: InputTransform): void {
  const at = f.local("i32");
  const phases = f.locals("i32", 4);
  const d = Array.from({ length: 4 }, () => f.locals("v128", 2));
  const column = [0, 1].map(() => f.locals("v128", 2));
  const part = f.locals("v128", 2);
  for (const [i, phase] of phases.entries())
    f.get(i > 0 ? phases[i - 1]! : source)
      .value(i > 0 ? phaseBytes : 0)
      .op("i32.add")
      .set(phase);
  /** A row of A without signs: the first of two values, their sum, their difference, the second. */
  const spread = (row: number, [a, b]: readonly [Local, Local]): Assembler =>
    row % 3 === 0 ? f.get(row === 0 ? a : b) : f.get(a, b).op(row === 1 ? "f32x4.add" : "f32x4.sub");
  for (let first = 0; first < vectors; first += PAIR.length) {
    f.get(to).set(at);
    for (const [i, phase] of phases.entries())
      for (const v of PAIR)
        f.get(phase)
          .memory("v128.load", (first + v) * 16)
          .set(d[i]![v]!);
    for (let y = 0; y < 4; y++) {
      for (const x of PAIR) for (const v of PAIR) spread(y, [d[x]![v]!, d[2 + x]![v]!]).set(column[x]![v]!);
      for (let x = 0; x < 4; x++) {
        for (const v of PAIR) spread(x, [column[0]![v]!, column[1]![v]!]).set(part[v]!);
        storeRow(f, part, at, first * 16);
        f.get(at, toPart).op("i32.add").set(at);
      }
    }
  }
  f.release(at, ...phases, ...d.flat(), ...column.flat(), ...part);
}

export interface OutputTransform {
  /** Address of the sixteen parts, a row of tiles each, one after the other. */
  readonly from: Local;
  /** Address for four rows of tiles: outputs at even and odd columns of the upper row, then of the lower. */
  readonly to: Local;
  readonly vectors: number;
  /** What becomes of outputs before they are stored. */
  readonly finish: (outputs: readonly Local[]) => void;
}

/** Writes Aᵀ m A, the 2×2 outputs of neighbouring tiles whose parts are m [4, 4]. */
export function transformOutput(f: Assembler, { from, to, vectors, finish }: OutputTransform): void {
  const columns = Array.from({ length: 4 }, () => f.locals("v128", 2));
  const outputs = Array.from({ length: 4 }, () => f.locals("v128", 2));
  const pitch = vectors * 16;
  /** A row of Aᵀ: the sum of the first three of four values, or the second less the last two. */
  const sum = (isLower: boolean, load: (i: number) => void): void => {
    const op = isLower ? "f32x4.sub" : "f32x4.add";
    const [a, b, c] = isLower ? [1, 2, 3] : [0, 1, 2];
    load(a!);
    load(b!);
    f.op(op);
    load(c!);
    f.op(op);
  };
  for (let first = 0; first < vectors; first += PAIR.length) {
    for (const y of [0, 1]) {
      for (const [j, column] of columns.entries())
        for (const v of PAIR) {
          sum(y === 1, (i) => f.get(from).memory("v128.load", (i * 4 + j) * pitch + (first + v) * 16));
          f.set(column[v]);
        }
      for (const x of [0, 1])
        for (const v of PAIR) {
          sum(x === 1, (j) => f.get(columns[j]![v]!));
          f.set(outputs[y * 2 + x]![v]!);
        }
    }
    finish(outputs.flat());
    for (const [i, output] of outputs.entries()) storeRow(f, output, to, i * pitch + first * 16);
  }
  f.release(...columns.flat(), ...outputs.flat());
}

export interface OutputRows {
  /** Address of `transformOutput`'s four rows. */
  readonly from: Local;
  /** Address of the output's plane, and its size. */
  readonly to: Local;
  readonly height: Local;
  readonly width: Local;
  /** The first tile's place; left at the one after the last. */
  readonly row: Local;
  readonly column: Local;
  /** How many tiles a row has; one more behind its last does not exist. */
  readonly rowTiles: Local;
  readonly vectors: number;
}

/** Copies the outputs of neighbouring tiles to where they belong, row by row. */
export function scatterOutput(f: Assembler, rows: OutputRows): void {
  const { from, to, height, width, row, column, rowTiles, vectors } = rows;
  const names = f.locals("i32", 6);
  const [tile, run, line, count, source, place] = names;
  f.for(tile, { from: 0, to: vectors * 4, step: run }, () => {
    f.i32(vectors * 4)
      .get(tile)
      .op("i32.sub")
      .set(run);
    f.get(rowTiles, column).op("i32.sub").i32(1).op("i32.add").set(count);
    smaller(f, run, count).set(run);
    for (const y of [0, 1]) {
      f.get(row).i32(1).op("i32.shl").i32(y).op("i32.add").tee(line).get(height).op("i32.lt_s");
      f.get(column, rowTiles).op("i32.lt_s", "i32.and");
      f.if(() => {
        f.get(run).i32(1).op("i32.shl").set(count);
        f.get(width, column).i32(1).op("i32.shl", "i32.sub").set(place);
        smaller(f, count, place).set(count);
        f.get(from, tile)
          .i32(2)
          .op("i32.shl", "i32.add")
          .i32(y * 2 * vectors * 16)
          .op("i32.add")
          .set(source);
        f.get(to, line, width).op("i32.mul").get(column).i32(1).op("i32.shl", "i32.add");
        f.i32(2).op("i32.shl", "i32.add").set(place);
        interleave(f, { source, place, count, pitch: vectors * 16 });
      });
    }
    f.get(column, run).op("i32.add").tee(column).get(rowTiles).op("i32.gt_s");
    f.if(() => f.get(row).i32(1).op("i32.add").set(row).i32(0).set(column));
  });
  f.release(...names);
}

/** Writes `count` values, in turn from `source` and from `pitch` bytes behind it. Changes both addresses. */
function interleave(
  f: Assembler,
  { source, place, count, pitch }: { source: Local; place: Local; count: Local; pitch: number },
): void {
  const [i, whole] = f.locals("i32", 2);
  const [even, odd] = f.locals("v128", 2);
  f.get(count).i32(-8).op("i32.and").set(whole);
  f.for(i, { from: 0, to: whole, step: 8 }, () => {
    f.get(source).memory("v128.load").set(even).get(source).memory("v128.load", pitch).set(odd);
    f.get(place, even, odd).shuffle(0, 4, 1, 5).memory("v128.store");
    f.get(place, even, odd).shuffle(2, 6, 3, 7).memory("v128.store", 16);
    f.get(source).i32(16).op("i32.add").set(source).get(place).i32(32).op("i32.add").set(place);
  });
  f.for(i, { from: whole, to: count, step: 2 }, () => {
    f.get(place, source).memory("f32.load").memory("f32.store");
    f.get(i).i32(1).op("i32.add").get(count).op("i32.lt_s");
    f.if(() => f.get(place, source).memory("f32.load", pitch).memory("f32.store", 4));
    f.get(source).i32(4).op("i32.add").set(source).get(place).i32(8).op("i32.add").set(place);
  });
  f.release(i, whole, even, odd);
}
