import type { Assembler, Local } from "../wasm/assembler.ts";

/** Rows and columns of the register tile: ten sums, two vectors and a broadcast stay under x86's sixteen registers. */
const TILE_ROWS = 5;
export const TILE_COLUMNS = 8;

export const TOTALS_BYTES = 192;

/** Locals of the register tile: `TILE_ROWS` rows of a, read one value at a time, by two vectors of b. */
export interface Tile {
  /** Addresses of the rows of a at k = 0. */
  readonly rows: readonly Local[];
  /** Two per row. */
  readonly sums: readonly Local[];
  /** Address of `TOTALS_BYTES` of the thread's own for the sums of earlier runs. */
  readonly totals: Local;
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
    totals: f.local("i32"),
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

// Values summed in a row before they join the others: rounding grows with the length of a run, not of the whole sum.
const RUN = 192;
const RUN_BYTES = RUN * 4;

/** `sums = a · b` for `height` rows, in ascending k, in runs of `RUN`. */
export function multiply(f: Assembler, tile: Tile, product: Product): void {
  const { k, cursor, totals } = tile;
  const { height, kBytes, columns } = product;
  const sums = tile.sums.slice(0, height * 2);
  const last = f.local("i32");
  const eachSum = (visit: (sum: Local, offset: number) => void): void => {
    for (const [i, sum] of sums.entries()) visit(sum, i * 16);
  };
  if (columns.kind === "packed") f.get(columns.panel).set(cursor);
  f.i32(0).set(k);
  f.block((done) => {
    f.loop((again) => {
      eachSum((sum) => f.f32x4(0).set(sum));
      f.get(k)
        .i32(RUN_BYTES)
        .op("i32.add")
        .tee(last)
        .get(kBytes)
        .op("i32.gt_s")
        .if(() => f.get(kBytes).set(last));
      f.for(k, { from: k, to: last, step: 4 }, () => step(f, tile, product));
      f.get(k)
        .i32(RUN_BYTES)
        .op("i32.gt_s")
        .if(() => {
          eachSum((sum, offset) => f.get(sum, totals).memory("v128.load", offset).op("f32x4.add").set(sum));
        });
      f.get(k, kBytes).op("i32.ge_s").brIf(done);
      eachSum((sum, offset) => f.get(totals, sum).memory("v128.store", offset));
      f.br(again);
    });
  });
  f.release(last);
}

/** One k. */
function step(f: Assembler, tile: Tile, { height, aTable, columns }: Product): void {
  const { rows, sums, vectors, broadcast, k, offset, cursor } = tile;
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

export interface Blocks {
  /** First row of the block. */
  readonly row: Local;
  readonly from: Local;
  readonly to: Local;
}

/** Splits rows from…to into blocks of at most `TILE_ROWS`, as even as possible, and runs `body` for each block. */
export function forBlocks(f: Assembler, { row, from, to }: Blocks, body: (height: number) => void): void {
  const [blocks, height] = f.locals("i32", 2);
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

/** Adds what `storeTile` stored to the sums. Lanes must follow each other; the addresses are left in place. */
export function addStored(f: Assembler, tile: Tile, target: Target): void {
  const stored = tile.broadcast;
  forVectors(f, tile, {
    target,
    each: (sum, address, lanes) => {
      f.block((loaded) => {
        f.get(lanes)
          .i32(4)
          .op("i32.eq")
          .if(() => f.get(address).memory("v128.load").set(stored).br(loaded));
        f.f32x4(0).set(stored);
        for (let lane = 0; lane < 3; lane++) {
          f.get(lanes).i32(lane).op("i32.le_s").brIf(loaded);
          f.get(address, stored)
            .memoryLane("v128.load32_lane", lane, lane * 4)
            .set(stored);
        }
      });
      f.get(stored, sum).op("f32x4.add").set(sum);
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
