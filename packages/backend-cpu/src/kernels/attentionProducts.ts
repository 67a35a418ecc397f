import type { Assembler, Local } from "../wasm/assembler.ts";
import { loadRow, storeRow } from "../wasm/vectors.ts";
import { smaller } from "./args.ts";
import { copyFloats, type Panels, type Rows } from "./attentionPanels.ts";
import { addRows, addTile, multiply, OWN_PITCH, storeTile, type Tile } from "./tile.ts";

/** Addresses of a tile's rows from `row` on; past the last row it is the last one again. */
function clampedRows(
  f: Assembler,
  tile: Tile,
  { rows: { start, pitch, count }, row }: { rows: Rows; row: Local },
): void {
  const last = f.local("i32");
  f.get(count).i32(1).op("i32.sub").set(last);
  for (const [i, address] of tile.rows.entries()) {
    f.get(row).i32(i).op("i32.add").set(address);
    smaller(f, address, last).get(pitch).op("i32.mul").get(start).op("i32.add").set(address);
  }
  f.release(last);
}

/** Writes rows · panels to rows at `to`, `pitch` bytes apart: columns after `from` bytes, whole tiles; there is room for whole tiles. */
export function writeProducts(
  f: Assembler,
  tile: Tile,
  { rows, panels, kBytes, columnBytes, from, to, pitch }: Panels & { rows: Rows; from: Local; to: Local; pitch: Local },
): void {
  const names = f.locals("i32", 4);
  const [row, column, panel, address] = names;
  const { rows: height, columns: width } = tile.shape;
  f.get(panels, from, kBytes).i32(2).op("i32.shr_u", "i32.mul", "i32.add").set(panel);
  f.for(column, { from, to: columnBytes, step: width * 4 }, () => {
    f.for(row, { from: 0, to: rows.count, step: height }, () => {
      clampedRows(f, tile, { rows, row });
      multiply(f, tile, { rows: "matrix", height, kBytes, aTable: kBytes, aPitch: kBytes, panel });
      f.get(to, row, pitch).op("i32.mul", "i32.add").get(column).op("i32.add").set(address);
      storeTile(f, tile, { height, address, pitch });
    });
    f.get(panel, kBytes).i32(width).op("i32.mul", "i32.add").set(panel);
  });
  f.release(...names);
}

/** Writes rows · panels, each row divided by its number of a list, to other rows; sums of `run` bytes, k after `from` bytes, are formed at a time. */
export function writeSums(
  f: Assembler,
  tile: Tile,
  options: Panels & { rows: Rows; from: Local; run: Local; to: Local; toPitch: Local; divisors?: Local },
): void {
  const { rows, panels, kBytes, columnBytes, from, run, to, toPitch, divisors } = options;
  const names = f.locals("i32", 9);
  const [row, column, panel, k, length, own, pitch, line, left] = names;
  const { rows: height, columns: width } = tile.shape;
  f.own().set(own).i32(OWN_PITCH).set(pitch);
  f.for(row, { from: 0, to: rows.count, step: height }, () => {
    f.for(column, { from: 0, to: columnBytes, step: width * 4 }, () => {
      f.get(panels, column, kBytes).i32(2).op("i32.shr_u", "i32.mul", "i32.add");
      f.get(from).i32(width).op("i32.mul", "i32.add").set(panel);
      f.for(k, { from, to: kBytes, step: run }, () => {
        f.get(kBytes, k).op("i32.sub").set(length);
        smaller(f, length, run).set(length);
        for (const [i, address] of tile.rows.entries())
          f.get(rows.start, row)
            .i32(i)
            .op("i32.add")
            .get(rows.pitch)
            .op("i32.mul", "i32.add")
            .get(k)
            .op("i32.add")
            .set(address);
        multiply(f, tile, { rows: "matrix", height, kBytes: length, aTable: length, aPitch: length, panel });
        f.get(k, from)
          .op("i32.gt_s")
          .if(() => addTile(f, tile, { height, address: own, pitch: OWN_PITCH }));
        f.own().set(own);
        storeTile(f, tile, { height, address: own, pitch });
        f.own().set(own);
        f.get(panel, length).i32(width).op("i32.mul", "i32.add").set(panel);
      });
      f.get(columnBytes, column).op("i32.sub").set(left);
      f.get(to, row, toPitch).op("i32.mul", "i32.add").get(column).op("i32.add").set(line);
      settle(f, tile, { rows, row, line, toPitch, left, divisors });
    });
  });
  f.release(...names);
}

/** Moves a tile from the thread's own memory to where its rows belong: what exists of them. */
function settle(
  f: Assembler,
  tile: Tile,
  {
    rows,
    row,
    line,
    toPitch,
    left,
    divisors,
  }: { rows: Rows; row: Local; line: Local; toPitch: Local; left: Local; divisors: Local | undefined },
): void {
  const names = f.locals("i32", 4);
  const [at, own, end, lane] = names;
  const divisor = f.local("v128");
  const { rows: height, columns: width } = tile.shape;
  f.own().set(own);
  f.get(row).i32(height).op("i32.add").set(end);
  smaller(f, end, rows.count).set(end);
  f.for(at, { from: row, to: end }, () => {
    loadRow(f, tile.vectors, own);
    if (divisors) {
      f.get(divisors, at).i32(2).op("i32.shl", "i32.add").memory("v128.load32_splat").set(divisor);
      for (const vector of tile.vectors) f.get(vector, divisor).op("f32x4.div").set(vector);
    }
    f.get(left)
      .i32(width * 4)
      .op("i32.ge_s");
    f.if(
      () => storeRow(f, tile.vectors, line),
      () => {
        storeRow(f, tile.vectors, own);
        copyFloats(f, { from: own, to: line, at: lane, bytes: left });
      },
    );
    f.get(line, toPitch).op("i32.add").set(line);
    f.get(own).i32(OWN_PITCH).op("i32.add").set(own);
  });
  f.release(...names, divisor);
}

/**
 * Adds columnsᵀ · panels to rows at `to`, one for each of the columns after `from` bytes; there is room for whole tiles.
 * `columns` are those of `kBytes` / 4 rows, `pitch` bytes apart.
 */
export function addTransposed(
  f: Assembler,
  tile: Tile,
  options: Panels & { columns: Local; from: Local; count: Local; pitch: Local; to: Local; toPitch: Local },
): void {
  const { columns, from, count, pitch, panels, kBytes, columnBytes, to, toPitch } = options;
  const names = f.locals("i32", 5);
  const [row, column, panel, address, first] = names;
  const { rows: height, columns: width } = tile.shape;
  f.get(from).i32(2).op("i32.shr_u").set(first);
  f.for(row, { from: first, to: count, step: height }, () => {
    f.get(panels).set(panel);
    f.for(column, { from: 0, to: columnBytes, step: width * 4 }, () => {
      f.get(columns, row).i32(2).op("i32.shl", "i32.add").set(tile.rows[0]!);
      multiply(f, tile, { rows: "adjacent", height, kBytes, aTable: kBytes, aPitch: pitch, panel });
      f.get(to, row, toPitch).op("i32.mul", "i32.add").get(column).op("i32.add").set(address);
      addRows(f, tile, { height, address, pitch: toPitch });
      storeTile(f, tile, { height, address, pitch: toPitch });
      f.get(panel, kBytes).i32(width).op("i32.mul", "i32.add").set(panel);
    });
  });
  f.release(...names);
}
