import type { Assembler, Local } from "../wasm/assembler.ts";
import { loadRow, storeRow } from "../wasm/vectors.ts";
import { divide, smaller } from "./args.ts";

// The innermost loop of all products: per k one load for each vector of b, and for each row of a a broadcast and as many
// multiply-adds. Measured alone, the tile of 6×16 does 93 % of the multiply-adds that a core of a Xeon (Sapphire Rapids)
// can do on 256 bits, that of 5×8 91 % of those on 128. This is the ceiling of which other kernels' comments tell their
// share, wide and narrow, all from one run there with one thread: 89 and 44 GFLOP/s. For kernels that only move data it is
// copying: 93 GB/s, read and written, in a core's cache.

/** A register tile: rows of a, read one value at a time, by vectors of b. */
export interface TileShape {
  readonly rows: number;
  readonly vectors: number;
  /** Columns: four per vector. */
  readonly columns: number;
}

// Sums, the vectors of b and a broadcast stay under x86's sixteen registers: 12 + 2 + 1 where neighbours share a register
// of eight lanes, 10 + 2 + 1 else.
const WIDE: TileShape = { rows: 6, vectors: 4, columns: 16 };
const NARROW: TileShape = { rows: 5, vectors: 2, columns: 8 };

export const tileShape = ({ wide = false }: { readonly wide?: boolean }): TileShape => (wide ? WIDE : NARROW);

/** Bytes from row to row of a tile in a thread's own memory, and where there is room for one more row. */
export const OWN_PITCH = 64;
export const SPARE_ROW = WIDE.rows * OWN_PITCH;

/** Locals of the register tile. */
export interface Tile {
  readonly shape: TileShape;
  /** Addresses of the rows of a at k = 0. */
  readonly rows: readonly Local[];
  /** `vectors` per row. */
  readonly sums: readonly Local[];
  readonly vectors: readonly Local[];
  readonly broadcast: Local;
  /** 4·k */
  readonly k: Local;
  readonly offset: Local;
  readonly cursor: Local;
}

export function makeTile(f: Assembler): Tile {
  const shape = tileShape(f.options);
  return {
    shape,
    rows: f.locals("i32", shape.rows),
    sums: f.locals("v128", shape.rows * shape.vectors),
    vectors: f.locals("v128", shape.vectors),
    broadcast: f.local("v128"),
    k: f.local("i32"),
    offset: f.local("i32"),
    cursor: f.local("i32"),
  };
}

/** Rows of a some bytes apart, their k adjacent; or themselves adjacent, k some bytes apart; or both at offsets of tables. */
export type RowKind = "matrix" | "adjacent" | "tables";

export interface Product {
  readonly height: number;
  /** 4·K */
  readonly kBytes: Local;
  readonly rows: RowKind;
  /** Byte offsets of a's values from their row's address, one per k. */
  readonly aTable: Local;
  /** Bytes from k to k, where rows are adjacent. */
  readonly aPitch: Local;
  /** The columns of b, a row of the tile's for each k. */
  readonly panel: Local;
}

/** `sums = a · b` for `height` rows, in ascending k. */
export function multiply(f: Assembler, tile: Tile, product: Product): void {
  const { height, kBytes, aTable, aPitch, panel } = product;
  const [isAdjacent, isTable] = [product.rows === "adjacent", product.rows === "tables"];
  const { shape, rows, sums, vectors, broadcast, k, offset, cursor } = tile;
  for (const sum of sums.slice(0, height * shape.vectors)) f.f32x4(0).set(sum);
  f.get(panel).set(cursor);
  f.for(k, { from: 0, to: kBytes, step: 4 }, () => {
    loadRow(f, vectors, cursor);
    f.get(cursor)
      .i32(shape.columns * 4)
      .op("i32.add")
      .set(cursor);
    if (isTable) f.get(aTable, k).op("i32.add").memory("i32.load").set(offset);
    for (let i = 0; i < height; i++) {
      if (isAdjacent) f.get(rows[0]!);
      else f.get(rows[i]!, isTable ? offset : k).op("i32.add");
      f.memory("v128.load32_splat", isAdjacent ? i * 4 : 0).set(broadcast);
      for (const [j, vector] of vectors.entries()) f.madd(sums[i * shape.vectors + j]!, broadcast, vector);
    }
    if (isAdjacent) f.get(rows[0]!, aPitch).op("i32.add").set(rows[0]!);
  });
}

/** Puts `height` rows of sums at `address`, `pitch` bytes apart; leaves the address at the last row. */
export function storeTile(
  f: Assembler,
  { shape: { vectors }, sums }: Tile,
  { height, address, pitch }: { height: number; address: Local; pitch: Local },
): void {
  for (let i = 0; i < height; i++) {
    if (i > 0) f.get(address, pitch).op("i32.add").set(address);
    storeRow(f, sums.slice(i * vectors, (i + 1) * vectors), address);
  }
}

/** Adds what is in memory where the rows of sums go, as `storeTile` walks them; leaves the address where it was. */
export function addRows(
  f: Assembler,
  { shape: { vectors }, sums, offset }: Tile,
  { height, address, pitch }: { height: number; address: Local; pitch: Local },
): void {
  f.get(address).set(offset);
  for (const [i, sum] of sums.slice(0, height * vectors).entries()) {
    if (i > 0 && i % vectors === 0) f.get(offset, pitch).op("i32.add").set(offset);
    f.get(offset)
      .memory("v128.load", (i % vectors) * 16)
      .get(sum)
      .op("f32x4.add")
      .set(sum);
  }
}

/** Adds `height` rows at `address`, `pitch` bytes apart, to the sums. */
export function addTile(
  f: Assembler,
  { shape: { vectors }, sums }: Tile,
  { height, address, pitch }: { height: number; address: Local; pitch: number },
): void {
  for (const [i, sum] of sums.slice(0, height * vectors).entries())
    f.get(address)
      .memory("v128.load", Math.floor(i / vectors) * pitch + (i % vectors) * 16)
      .get(sum)
      .op("f32x4.add")
      .set(sum);
}

export interface RowAddresses {
  readonly rows: RowKind;
  readonly height: number;
  readonly row: Local;
  readonly start: Local;
  readonly pitch: Local;
  readonly table: Local;
}

/** Sets the addresses of `height` rows of a from `row` on. */
export function rowAddresses(f: Assembler, tile: Tile, { rows, height, row, start, pitch, table }: RowAddresses): void {
  if (rows === "adjacent") {
    f.get(start, row).i32(2).op("i32.shl", "i32.add").set(tile.rows[0]!);
    return;
  }
  for (let i = 0; i < height; i++) {
    f.get(start);
    if (rows === "matrix") f.get(row).i32(i).op("i32.add").get(pitch).op("i32.mul");
    else
      f.get(table, row)
        .i32(4)
        .op("i32.mul", "i32.add")
        .memory("i32.load", i * 4);
    f.op("i32.add").set(tile.rows[i]!);
  }
}

export interface Blocks {
  /** First row of the block, and its rows: at most `most`. */
  readonly row: Local;
  readonly height: Local;
  readonly most: number;
  readonly from: Local;
  readonly to: Local;
  /** As even as possible, which is the default; or whole ones, and what is left. */
  readonly isEven?: boolean;
}

/** Splits rows from…to into blocks, and runs `body` for each. */
export function forBlocks(
  f: Assembler,
  { row, height, most, from, to, isEven = true }: Blocks,
  body: () => void,
): void {
  const [count, least, larger] = f.locals("i32", 3);
  if (!isEven) {
    f.i32(most).set(height);
    f.for(row, { from, to, step: height }, () => {
      f.get(to, row).op("i32.sub").set(count);
      smaller(f, count, height).set(height);
      body();
    });
    f.release(count, least, larger);
    return;
  }
  f.get(to, from).op("i32.sub").tee(count);
  f.i32(most - 1)
    .op("i32.add")
    .i32(most)
    .op("i32.div_u")
    .get(count)
    .op("i32.eqz", "i32.add")
    .set(larger);
  divide(f, [count, larger], { quotient: least, remainder: larger });
  f.for(row, { from, to, step: height }, () => {
    f.get(least, larger).i32(0).op("i32.gt_s", "i32.add").set(height);
    f.get(larger).i32(1).op("i32.sub").set(larger);
    body();
  });
  f.release(count, least, larger);
}

/** Runs the code for the block's height: rows of a tile are unrolled. */
export function byHeight(
  f: Assembler,
  { height, most }: Pick<Blocks, "height" | "most">,
  code: (rows: number) => void,
) {
  f.block((done) => {
    for (let rows = most; rows > 1; rows--)
      f.get(height)
        .i32(rows)
        .op("i32.eq")
        .if(() => {
          code(rows);
          f.br(done);
        });
    code(1);
  });
}
