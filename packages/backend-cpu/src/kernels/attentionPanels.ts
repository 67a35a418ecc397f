import type { Assembler, Local } from "../wasm/assembler.ts";
import { loadRow, storeRow } from "../wasm/vectors.ts";
import { packColumns } from "./packColumns.ts";
import type { Tile } from "./tile.ts";

/** Rows of a matrix, their elements adjacent. */
export interface Rows {
  /** Address of the first. */
  readonly start: Local;
  /** Bytes from row to row. */
  readonly pitch: Local;
  readonly count: Local;
}

export interface Panels {
  /** Address of panels of the tile's columns, each [K][columns]; missing columns of the last are zeros. */
  readonly panels: Local;
  /** 4·K */
  readonly kBytes: Local;
  /** Bytes of the columns. */
  readonly columnBytes: Local;
}

/** Copies rows, their columns next to each other, into panels as wide as the register tile, with each row divided by its number of a list. */
export function packLines(
  f: Assembler,
  tile: Tile,
  { rows, columnBytes, panels, divisors }: { rows: Rows; divisors?: Local } & Pick<Panels, "panels" | "columnBytes">,
): void {
  const names = f.locals("i32", 9);
  const [row, line, from, to, column, left, lane, source, panelBytes] = names;
  const divisor = f.local("v128");
  const width = tile.shape.columns * 4;
  f.get(rows.count).i32(width).op("i32.mul").set(panelBytes);
  f.get(rows.start).set(line);
  f.for(row, { from: 0, to: rows.count }, () => {
    if (divisors) f.get(divisors, row).i32(2).op("i32.shl", "i32.add").memory("v128.load32_splat").set(divisor);
    f.get(panels, row).i32(width).op("i32.mul", "i32.add").set(to);
    f.get(line).set(from);
    f.for(column, { from: 0, to: columnBytes, step: width }, () => {
      f.get(columnBytes, column).op("i32.sub").tee(left).i32(width).op("i32.lt_s");
      f.if(
        () => {
          for (const vector of tile.vectors) f.f32x4(0).set(vector);
          storeRow(f, tile.vectors, to);
          copyFloats(f, { from, to, at: lane, bytes: left });
          f.get(to).set(source);
        },
        () => f.get(from).set(source),
      );
      loadRow(f, tile.vectors, source);
      if (divisors) for (const vector of tile.vectors) f.get(vector, divisor).op("f32x4.div").set(vector);
      storeRow(f, tile.vectors, to);
      f.get(from).i32(width).op("i32.add").set(from);
      f.get(to, panelBytes).op("i32.add").set(to);
    });
    f.get(line, rows.pitch).op("i32.add").set(line);
  });
  f.release(...names, divisor);
}

/** Copies rows into panels of which each row becomes a column. */
export function packTransposed(
  f: Assembler,
  { rows: { start, pitch, count }, kBytes, panels }: { rows: Rows } & Pick<Panels, "panels" | "kBytes">,
): void {
  const [first, kStride] = f.locals("i32", 2);
  f.i32(0).set(first).i32(4).set(kStride);
  const runs = { bTable: first, runLength: first, runPitch: first };
  packColumns(f, "columns", {
    source: start,
    runs,
    first,
    kStride,
    columnStride: pitch,
    kBytes,
    columns: count,
    panels,
  });
  f.release(first, kStride);
}

/** Copies floats one by one: `at` counts so many bytes. */
export function copyFloats(
  f: Assembler,
  { from, to, at, bytes, start = 0 }: { from: Local; to: Local; at: Local; bytes: Local; start?: number | Local },
): void {
  f.for(at, { from: start, to: bytes, step: 4 }, () =>
    f.get(to, at).op("i32.add").get(from, at).op("i32.add").memory("f32.load").memory("f32.store"),
  );
}

/** Copies rows to other rows. */
export function copyRows(
  f: Assembler,
  { from, fromPitch, rows, columnBytes }: { from: Local; fromPitch: Local; rows: Rows; columnBytes: Local },
): void {
  const names = f.locals("i32", 5);
  const [row, column, source, target, whole] = names;
  f.get(from).set(source).get(rows.start).set(target).get(columnBytes).i32(-16).op("i32.and").set(whole);
  f.for(row, { from: 0, to: rows.count }, () => {
    f.for(column, { from: 0, to: whole, step: 16 }, () =>
      f.get(target, column).op("i32.add").get(source, column).op("i32.add").memory("v128.load").memory("v128.store"),
    );
    copyFloats(f, { from: source, to: target, at: column, bytes: columnBytes, start: whole });
    f.get(source, fromPitch).op("i32.add").set(source).get(target, rows.pitch).op("i32.add").set(target);
  });
  f.release(...names);
}
