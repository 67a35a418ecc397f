import type { Assembler, Local } from "../wasm/assembler.ts";
import { loadRow, storeRow, transpose4 } from "../wasm/vectors.ts";
import { divide, smaller } from "./args.ts";
import { tileShape } from "./tile.ts";

/** How b's columns lie: in runs of adjacent ones, each with its k adjacent, or neither. */
export type PackKind = "runs" | "columns" | "any";

export interface RunWords {
  /** Address of a table: bytes from a column's place to its value for each k. */
  readonly bTable: Local;
  /** Columns of a run, and bytes from run to run. */
  readonly runLength: Local;
  readonly runPitch: Local;
}

export interface Pack {
  /** Address of b at k = 0 and its first column; of runs, at their very first. */
  readonly source: Local;
  readonly runs: RunWords;
  /** The first column, counted over all runs. */
  readonly first: Local;
  /** Bytes from k to k, and from column to column. */
  readonly kStride: Local;
  readonly columnStride: Local;
  /** 4·K */
  readonly kBytes: Local;
  readonly columns: Local;
  /** Panels of the tile's columns follow each other, each [K][columns]; missing columns of the last are zeros. */
  readonly panels: Local;
}

/** Copies columns of b into panels as wide as the register tile. */
export function packColumns(f: Assembler, kind: PackKind, pack: Pack): void {
  const [full, panelBytes] = f.locals("i32", 2);
  const width = tileShape(f.options).columns;
  const panels = { ...pack, width, full, panelBytes };
  f.get(pack.kBytes).i32(width).op("i32.mul").set(panelBytes);
  if (kind === "runs") packRuns(f, panels);
  else {
    f.get(pack.columns).i32(width).op("i32.div_u").set(full);
    if (kind === "columns") packAdjacentK(f, panels);
    else f.i32(0).set(full);
    packRest(f, panels);
  }
  f.release(full, panelBytes);
}

type Panels = Pack & { readonly width: number; readonly full: Local; readonly panelBytes: Local };

/** Panel by panel, and in it the columns of a run at a time. */
function packRuns(f: Assembler, p: Panels): void {
  const names = f.locals("i32", 13);
  const [start, column, end, stop, panel, to, at, run, whole, k, from, x, place] = names;
  const { bTable, runLength, runPitch } = p.runs;
  const vectors = f.locals("v128", p.width / 4);
  const forK = (body: () => void): void => {
    f.for(k, { from: 0, to: p.kBytes, step: 4 }, () => {
      f.get(place, bTable, k).op("i32.add").memory("i32.load").op("i32.add").set(from);
      body();
      f.get(to)
        .i32(p.width * 4)
        .op("i32.add")
        .set(to);
    });
  };
  f.get(p.panels).set(panel);
  f.get(p.first).set(start).get(p.first, p.columns).op("i32.add").set(end);
  divide(f, [start, runLength], { quotient: place, remainder: x });
  f.get(runLength, x).op("i32.sub").get(p.columns).op("i32.ge_s");
  f.if(() => {
    f.get(p.source, place, runPitch).op("i32.mul", "i32.add").get(x).i32(2).op("i32.shl", "i32.add").set(place);
    packWholePanels(f, { ...p, vectors, place, start, panel });
  });
  f.for(start, { from: start, to: end, step: p.width }, () => {
    f.get(start).tee(column).i32(p.width).op("i32.add").tee(stop).get(end).op("i32.gt_s");
    f.if(() => f.get(end).set(stop).get(panel).i32(0).get(p.panelBytes).op("memory.fill"));
    f.get(panel).set(at);
    f.loop((again) => {
      divide(f, [column, runLength], { quotient: place, remainder: x });
      f.get(runLength, x).op("i32.sub").set(run);
      f.get(stop, column).op("i32.sub").set(whole);
      smaller(f, run, whole).tee(run).get(column).op("i32.add").set(column);
      f.get(p.source, place, runPitch).op("i32.mul", "i32.add").get(x).i32(2).op("i32.shl", "i32.add").set(place);
      f.get(at).set(to);
      f.get(run)
        .i32(p.width)
        .op("i32.eq")
        .if(
          () =>
            forK(() => {
              loadRow(f, vectors, from);
              storeRow(f, vectors, to);
            }),
          () => {
            f.get(run).i32(2).op("i32.shl").tee(run).i32(-16).op("i32.and").set(whole);
            forK(() => {
              f.for(x, { from: 0, to: whole, step: 16 }, () =>
                f.get(to, x).op("i32.add").get(from, x).op("i32.add").memory("v128.load").memory("v128.store"),
              );
              f.for(x, { from: whole, to: run, step: 4 }, () =>
                f.get(to, x).op("i32.add").get(from, x).op("i32.add").memory("f32.load").memory("f32.store"),
              );
            });
            f.get(at, run).op("i32.add").set(at);
          },
        );
      f.get(column, stop).op("i32.lt_s").brIf(again);
    });
    f.get(panel, p.panelBytes).op("i32.add").set(panel);
  });
  f.release(...names, ...vectors);
}

/** All whole panels of adjacent columns, k by k, so that what is read lies together. Moves `start` and `panel` behind them. */
function packWholePanels(
  f: Assembler,
  p: Panels & {
    readonly vectors: readonly Local[];
    readonly place: Local;
    readonly start: Local;
    readonly panel: Local;
  },
): void {
  const { panel, panelBytes, vectors } = p;
  const [k, from, to, i, whole] = f.locals("i32", 5);
  f.get(p.columns).i32(p.width).op("i32.div_u").set(whole);
  f.for(k, { from: 0, to: p.kBytes, step: 4 }, () => {
    f.get(p.place, p.runs.bTable, k).op("i32.add").memory("i32.load").op("i32.add").set(from);
    f.get(panel).set(to);
    f.for(i, { from: 0, to: whole }, () => {
      loadRow(f, vectors, from);
      storeRow(f, vectors, to);
      f.get(from)
        .i32(p.width * 4)
        .op("i32.add")
        .set(from);
      f.get(to, panelBytes).op("i32.add").set(to);
    });
    f.get(panel)
      .i32(p.width * 4)
      .op("i32.add")
      .set(panel);
  });
  f.get(p.panels, whole, panelBytes).op("i32.mul", "i32.add").set(panel);
  f.get(p.start, whole).i32(p.width).op("i32.mul", "i32.add").set(p.start);
  f.release(k, from, to, i, whole);
}

function packAdjacentK(f: Assembler, p: Panels): void {
  const [k, panel, to, body] = f.locals("i32", 4);
  const from = f.locals("i32", 4);
  f.get(p.kBytes).i32(-16).op("i32.and").set(body);
  f.for(panel, { from: 0, to: p.full }, () => {
    for (let quarter = 0; quarter < p.width / 4; quarter++) {
      from.forEach((column, i) => {
        f.get(p.source, panel)
          .i32(p.width)
          .op("i32.mul")
          .i32(quarter * 4 + i)
          .op("i32.add");
        f.get(p.columnStride).op("i32.mul", "i32.add").set(column);
      });
      f.get(p.panels, panel, p.panelBytes)
        .op("i32.mul", "i32.add")
        .i32(quarter * 16)
        .op("i32.add")
        .set(to);
      f.for(k, { from: 0, to: body, step: 16 }, () => {
        transpose4(
          f,
          (i) => f.get(from[i]!, k).op("i32.add").memory("v128.load"),
          (i, push) => {
            f.get(to);
            push();
            f.memory("v128.store", i * p.width * 4);
          },
        );
        f.get(to)
          .i32(p.width * 16)
          .op("i32.add")
          .set(to);
      });
      f.for(k, { from: body, to: p.kBytes, step: 4 }, () => {
        for (const [i, column] of from.entries()) {
          f.get(to, column, k)
            .op("i32.add")
            .memory("f32.load")
            .memory("f32.store", i * 4);
        }
        f.get(to)
          .i32(p.width * 4)
          .op("i32.add")
          .set(to);
      });
    }
  });
  f.release(k, panel, to, body, ...from);
}

/** What the fast paths leave, value by value. */
function packRest(f: Assembler, p: Panels): void {
  const names = f.locals("i32", 7);
  const [k, column, width, start, from, row, to] = names;
  f.get(p.full).i32(p.width).op("i32.mul").set(start);
  f.get(p.panels, p.full, p.panelBytes).op("i32.mul", "i32.add").set(to);
  f.block((done) => {
    f.loop((next) => {
      f.get(p.columns, start).op("i32.sub").tee(width).i32(0).op("i32.le_s").brIf(done);
      f.get(width)
        .i32(p.width)
        .op("i32.gt_s")
        .if(() => f.i32(p.width).set(width));
      f.get(p.source, start, p.columnStride).op("i32.mul", "i32.add").set(row);
      f.get(width).i32(4).op("i32.mul").set(width);
      f.for(k, { from: 0, to: p.kBytes, step: 4 }, () => {
        for (let j = 0; j < p.width / 4; j++)
          f.get(to)
            .f32x4(0)
            .memory("v128.store", j * 16);
        f.get(row).set(from);
        f.for(column, { from: 0, to: width, step: 4 }, () => {
          f.get(to, column).op("i32.add").get(from).memory("f32.load").memory("f32.store");
          f.get(from, p.columnStride).op("i32.add").set(from);
        });
        f.get(row, p.kStride).op("i32.add").set(row);
        f.get(to)
          .i32(p.width * 4)
          .op("i32.add")
          .set(to);
      });
      f.get(start).i32(p.width).op("i32.add").set(start);
      f.br(next);
    });
  });
  f.release(...names);
}
