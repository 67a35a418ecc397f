import type { Assembler, Local } from "../wasm/assembler.ts";
import { transpose4 } from "../wasm/vectors.ts";
import type { RowKind, Tile } from "./tile.ts";

/** Bytes from k to k of a packed block: two vectors, of which the tile's height is used. */
export const PACKED_PITCH = 32;

export interface RowBlock {
  readonly rows: Exclude<RowKind, "tables">;
  readonly height: number;
  /** 4·K */
  readonly kBytes: Local;
  /** Bytes from k to k, where rows are adjacent. */
  readonly aPitch: Local;
  /** Where the block goes: `PACKED_PITCH` bytes for each k. */
  readonly to: Local;
}

/** Copies the rows of a whose addresses are set, so that the tile reads them line after line. */
export function packRows(f: Assembler, tile: Tile, block: RowBlock): void {
  const { k, offset, cursor, rows } = tile;
  const { height, kBytes, aPitch } = block;
  f.get(block.to).set(cursor);
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
      let row = 0;
      for (const [count, load, store] of PIECES)
        for (; height - row >= count; row += count)
          f.get(cursor, rows[0]!)
            .memory(load, row * 4)
            .memory(store, row * 4);
      f.get(rows[0]!, aPitch).op("i32.add").set(rows[0]!);
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
