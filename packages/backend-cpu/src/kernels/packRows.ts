import type { Assembler, Local } from "../wasm/assembler.ts";
import { transpose4 } from "../wasm/vectors.ts";
import { byHeight, forBlocks, type RowKind, rowAddresses, type Tile } from "./tile.ts";

/** Bytes from k to k of a packed block: two vectors, of which the tile's height is used. */
export const PACKED_PITCH = 32;

export interface PackedRows {
  readonly rows: Exclude<RowKind, "tables">;
  /** The first row, and the one past the last. */
  readonly from: Local;
  readonly to: Local;
  /** Address of row 0 at k = 0; bytes from row to row or, of adjacent rows, from k to k. */
  readonly start: Local;
  readonly pitch: Local;
  /** 4·K */
  readonly kBytes: Local;
  /** Where blocks go, `PACKED_PITCH` bytes for each k: as many rows as the tile has in each, in the last what is left. */
  readonly packed: Local;
  /** Bytes of a block. */
  readonly blockBytes: Local;
}

/** Copies rows of a block by block, so that the tile reads them line after line. */
export function packRows(f: Assembler, tile: Tile, pack: PackedRows): void {
  const most = tile.shape.rows;
  const { from, to, blockBytes } = pack;
  const [row, height, block] = f.locals("i32", 3);
  f.get(from).set(row).get(pack.packed).set(block);
  if (pack.rows === "adjacent") wholeBlocks(f, tile, { ...pack, row, block });
  forBlocks(f, { row, height, most, from: row, to, isEven: false }, () => {
    byHeight(f, { height, most }, (count) => {
      rowAddresses(f, tile, { ...pack, height: count, row, table: row });
      packBlock(f, tile, { ...pack, height: count, block });
    });
    f.get(block, blockBytes).op("i32.add").set(block);
  });
  f.release(row, height, block);
}

/** Adjacent rows of all whole blocks, k by k, so that what is read lies together. Moves `row` and `block` behind them. */
function wholeBlocks(
  f: Assembler,
  { shape, k, offset, cursor }: Tile,
  pack: PackedRows & { row: Local; block: Local },
) {
  const { row, block, blockBytes, kBytes } = pack;
  const [line, whole, i] = f.locals("i32", 3);
  f.get(pack.start, row).i32(2).op("i32.shl", "i32.add").set(line);
  f.get(pack.to, row).op("i32.sub").i32(shape.rows).op("i32.div_u").set(whole);
  f.for(k, { from: 0, to: kBytes, step: 4 }, () => {
    f.get(line).set(offset).get(block).set(cursor);
    f.for(i, { from: 0, to: whole }, () => {
      copyLine(f, { height: shape.rows, from: offset, to: cursor });
      f.get(offset)
        .i32(shape.rows * 4)
        .op("i32.add")
        .set(offset);
      f.get(cursor, blockBytes).op("i32.add").set(cursor);
    });
    f.get(line, pack.pitch).op("i32.add").set(line);
    f.get(block).i32(PACKED_PITCH).op("i32.add").set(block);
  });
  f.get(pack.packed, whole, blockBytes).op("i32.mul", "i32.add").set(block);
  f.get(row, whole).i32(shape.rows).op("i32.mul", "i32.add").set(row);
  f.release(line, whole, i);
}

/** One block of the rows whose addresses are set. */
function packBlock(
  f: Assembler,
  { k, offset, cursor, rows }: Tile,
  block: PackedRows & { height: number; block: Local },
) {
  const { height, kBytes } = block;
  f.get(block.block).set(cursor);
  const next = (values: number): void => {
    f.get(cursor)
      .i32(values * PACKED_PITCH)
      .op("i32.add")
      .set(cursor);
  };
  f.i32(0).set(k);
  if (block.rows === "matrix") {
    f.get(kBytes).i32(-16).op("i32.and").set(offset);
    f.for(k, { from: 0, to: offset, step: 16 }, () => {
      for (let first = 0; first < height; first += 4)
        transpose4(
          f,
          (i) =>
            f
              .get(rows[Math.min(first + i, height - 1)]!, k)
              .op("i32.add")
              .memory("v128.load"),
          (i, push) => {
            f.get(cursor);
            push();
            f.memory("v128.store", i * PACKED_PITCH + first * 4);
          },
        );
      next(4);
    });
  }
  f.for(k, { from: k, to: kBytes, step: 4 }, () => {
    if (block.rows === "adjacent") {
      copyLine(f, { height, from: rows[0]!, to: cursor });
      f.get(rows[0]!, block.pitch).op("i32.add").set(rows[0]!);
    } else
      for (let i = 0; i < height; i++)
        f.get(cursor, rows[i]!, k)
          .op("i32.add")
          .memory("f32.load")
          .memory("f32.store", i * 4);
    next(1);
  });
}

const PIECES = [
  [4, "v128.load", "v128.store"],
  [2, "i64.load", "i64.store"],
  [1, "f32.load", "f32.store"],
] as const;

/** Copies that many adjacent values. */
function copyLine(f: Assembler, { height, from, to }: { height: number; from: Local; to: Local }): void {
  let row = 0;
  for (const [count, load, store] of PIECES)
    for (; height - row >= count; row += count)
      f.get(to, from)
        .memory(load, row * 4)
        .memory(store, row * 4);
}
