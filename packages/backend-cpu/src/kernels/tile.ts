import type { Assembler, Local } from "../wasm/assembler.ts";

/** Rows and columns of the register tile: ten sums, two vectors and a broadcast stay under x86's sixteen registers. */
export const TILE_ROWS = 5;
export const TILE_COLUMNS = 8;

/** Locals of the register tile: `TILE_ROWS` rows of a, read one value at a time, by two vectors of b. */
export interface Tile {
  /** Addresses of the rows of a at k = 0. */
  readonly rows: readonly Local[];
  /** Two per row. */
  readonly sums: readonly Local[];
  readonly vectors: readonly [Local, Local];
  readonly broadcast: Local;
  /** 4·k */
  readonly k: Local;
  readonly offset: Local;
  readonly cursor: Local;
}

export function makeTile(f: Assembler): Tile {
  return {
    rows: f.locals("i32", TILE_ROWS),
    sums: f.locals("v128", TILE_ROWS * 2),
    vectors: [f.local("v128"), f.local("v128")],
    broadcast: f.local("v128"),
    k: f.local("i32"),
    offset: f.local("i32"),
    cursor: f.local("i32"),
  };
}

/** Where the columns of b are: eight per k in a row, or at `vectors[j] + table[k]`. */
export type Columns =
  | { readonly kind: "packed"; readonly panel: Local }
  | { readonly kind: "taps"; readonly table: Local; readonly vectors: readonly [Local, Local] };

export interface Product {
  readonly height: number;
  /** 4·K */
  readonly kBytes: Local;
  /** Byte offsets of a's values from their row's address, one per k; without it they follow each other. */
  readonly aTable?: Local | undefined;
  readonly columns: Columns;
}

/** `sums += a · b` for `height` rows, in ascending k. */
export function multiply(f: Assembler, tile: Tile, { height, kBytes, aTable, columns }: Product): void {
  const { rows, sums, vectors, broadcast, k, offset, cursor } = tile;
  if (columns.kind === "packed") f.get(columns.panel).set(cursor);
  f.for(k, { from: 0, to: kBytes, step: 4 }, () => {
    if (columns.kind === "taps") f.get(columns.table, k).op("i32.add").memory("i32.load").set(offset);
    for (const [j, vector] of vectors.entries()) {
      if (columns.kind === "packed")
        f.get(cursor)
          .memory("v128.load", j * 16)
          .set(vector);
      else f.get(columns.vectors[j]!, offset).op("i32.add").memory("v128.load").set(vector);
    }
    if (columns.kind === "packed") f.get(cursor).i32(32).op("i32.add").set(cursor);
    if (aTable) f.get(aTable, k).op("i32.add").memory("i32.load").set(offset);
    for (let i = 0; i < height; i++) {
      f.get(rows[i]!, aTable ? offset : k)
        .op("i32.add")
        .memory("v128.load32_splat")
        .set(broadcast);
      for (const [j, vector] of vectors.entries()) f.madd(sums[i * 2 + j]!, broadcast, vector);
    }
  });
}

export interface RowAddresses {
  /** Rows `pitch` bytes apart, or at the table's offsets, from `start`. */
  readonly rows: "matrix" | "tables";
  readonly height: number;
  readonly row: Local;
  readonly start: Local;
  readonly pitch: Local;
  readonly table: Local;
}

/** Sets the addresses of `height` rows of a from `row` on. */
export function rowAddresses(f: Assembler, tile: Tile, { rows, height, row, start, pitch, table }: RowAddresses): void {
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

export function clearSums(f: Assembler, { sums }: Tile, height: number): void {
  for (const sum of sums.slice(0, height * 2)) f.f32x4(0).set(sum);
}

export interface Blocks {
  /** First row of the block. */
  readonly row: Local;
  readonly from: Local;
  readonly to: Local;
}

/** Splits rows from…to into blocks of at most `TILE_ROWS`, as even as possible, and runs `body` for each block. */
export function forBlocks(f: Assembler, { row, from, to }: Blocks, body: (height: number) => void): void {
  const [blocks, height] = f.locals("i32", 2) as [Local, Local];
  f.get(from).set(row);
  f.get(to, from)
    .op("i32.sub")
    .i32(TILE_ROWS - 1)
    .op("i32.add")
    .i32(TILE_ROWS)
    .op("i32.div_u")
    .set(blocks);
  f.block((done) => {
    f.loop((next) => {
      f.get(blocks).op("i32.eqz").brIf(done);
      f.get(to, row)
        .op("i32.sub")
        .get(blocks)
        .op("i32.add")
        .i32(1)
        .op("i32.sub")
        .get(blocks)
        .op("i32.div_u")
        .set(height);
      f.block((handled) => {
        for (let h = TILE_ROWS; h > 1; h--)
          f.get(height)
            .i32(h)
            .op("i32.eq")
            .if(() => {
              body(h);
              f.br(handled);
            });
        body(1);
      });
      f.get(row, height).op("i32.add").set(row);
      f.get(blocks).i32(1).op("i32.sub").set(blocks);
      f.br(next);
    });
  });
  f.release(blocks, height);
}

/** Where a tile's rows go: an address for each vector, advanced by `pitch` bytes from row to row. */
export interface Target {
  readonly height: number;
  readonly addresses: readonly [Local, Local];
  readonly pitch: Local;
  /** Valid lanes of each vector, 0–4: no other lane is touched. */
  readonly lanes: readonly [Local, Local];
  /** Bytes from lane to lane when they do not follow each other. */
  readonly step?: Local | undefined;
}

/** Stores the sums; leaves the addresses past the last row. */
export function storeTile(f: Assembler, tile: Tile, target: Target): void {
  forVectors(f, tile, {
    target,
    each: (sum, address, lanes) => storeLanes(f, sum, { address, lanes, step: target.step }),
  });
}

/** Loads what `storeTile` stored; lanes that are not valid become 0. Addresses must be contiguous and are left in place. */
export function loadTile(f: Assembler, tile: Tile, target: Target): void {
  forVectors(f, tile, {
    target,
    each: (sum, address, lanes) => {
      f.block((done) => {
        f.get(lanes)
          .i32(4)
          .op("i32.eq")
          .if(() => f.get(address).memory("v128.load").set(sum).br(done));
        f.f32x4(0).set(sum);
        for (let lane = 0; lane < 3; lane++) {
          f.get(lanes).i32(lane).op("i32.le_s").brIf(done);
          f.get(address, sum)
            .memoryLane("v128.load32_lane", lane, lane * 4)
            .set(sum);
        }
      });
    },
  });
  for (const address of target.addresses)
    f.get(address, target.pitch).i32(target.height).op("i32.mul", "i32.sub").set(address);
}

function forVectors(
  f: Assembler,
  { sums }: Tile,
  { target, each }: { target: Target; each: (sum: Local, address: Local, lanes: Local) => void },
): void {
  for (let i = 0; i < target.height; i++)
    target.addresses.forEach((address, j) => {
      each(sums[i * 2 + j]!, address, target.lanes[j]!);
      f.get(address, target.pitch).op("i32.add").set(address);
    });
}

/** Stores the valid lanes of a vector, adjacent or `step` bytes apart. */
export function storeLanes(
  f: Assembler,
  vector: Local,
  { address, lanes, step }: { address: Local; lanes: Local; step: Local | undefined },
): void {
  f.block((done) => {
    if (!step)
      f.get(lanes)
        .i32(4)
        .op("i32.eq")
        .if(() => f.get(address, vector).memory("v128.store").br(done));
    const cursor = f.local("i32");
    if (step) f.get(address).set(cursor);
    for (let lane = 0; lane < (step ? 4 : 3); lane++) {
      f.get(lanes).i32(lane).op("i32.le_s").brIf(done);
      if (step) {
        f.get(cursor, vector).memoryLane("v128.store32_lane", lane);
        f.get(cursor, step).op("i32.add").set(cursor);
      } else f.get(address, vector).memoryLane("v128.store32_lane", lane, lane * 4);
    }
    f.release(cursor);
  });
}
