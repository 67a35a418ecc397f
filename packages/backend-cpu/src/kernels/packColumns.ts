import type { Assembler, Local } from "../wasm/assembler.ts";
import { TILE_COLUMNS } from "./tile.ts";

/** How b's values lie: columns adjacent, k adjacent, or neither. */
export type PackKind = "rows" | "columns" | "any";

export interface Pack {
  /** Address of b at k = 0 and the first column. */
  readonly source: Local;
  /** Bytes from k to k, and from column to column. */
  readonly kStride: Local;
  readonly columnStride: Local;
  /** 4·K */
  readonly kBytes: Local;
  readonly columns: Local;
  /** Panels of eight columns follow each other, each [K][8]; missing columns of the last are zeros. */
  readonly panels: Local;
}

/** Copies columns of b into panels of `TILE_COLUMNS`. */
export function packColumns(f: Assembler, kind: PackKind, pack: Pack): void {
  const [full, panelBytes] = f.locals("i32", 2);
  f.get(pack.kBytes).i32(TILE_COLUMNS).op("i32.mul").set(panelBytes);
  if (kind === "any") f.i32(0).set(full);
  else {
    f.get(pack.columns).i32(3).op("i32.shr_u").set(full);
    (kind === "rows" ? packAdjacentColumns : packAdjacentK)(f, { ...pack, full, panelBytes });
  }
  packRest(f, { ...pack, full, panelBytes });
  f.release(full, panelBytes);
}

type Panels = Pack & { readonly full: Local; readonly panelBytes: Local };

function packAdjacentColumns(f: Assembler, { source, kStride, kBytes, panels, full, panelBytes }: Panels): void {
  const [k, panel, from, row, to] = f.locals("i32", 5);
  f.get(source).set(row);
  f.for(k, { from: 0, to: kBytes, step: 4 }, () => {
    f.get(row).set(from);
    f.get(panels, k).i32(TILE_COLUMNS).op("i32.mul", "i32.add").set(to);
    f.for(panel, { from: 0, to: full }, () => {
      f.get(to, from).memory("v128.load").memory("v128.store");
      f.get(to, from).memory("v128.load", 16).memory("v128.store", 16);
      f.get(from).i32(32).op("i32.add").set(from);
      f.get(to, panelBytes).op("i32.add").set(to);
    });
    f.get(row, kStride).op("i32.add").set(row);
  });
  f.release(k, panel, from, row, to);
}

/** Loads four vectors, transposes them, and stores them `pitch` bytes apart. */
function transpose4(f: Assembler, load: (i: number) => void, store: (i: number, push: () => void) => void): void {
  const v = f.locals("v128", 4);
  const t = f.locals("v128", 4);
  v.forEach((vector, i) => {
    load(i);
    f.set(vector);
  });
  f.get(v[0], v[1]).shuffle(0, 4, 1, 5).set(t[0]);
  f.get(v[0], v[1]).shuffle(2, 6, 3, 7).set(t[1]);
  f.get(v[2], v[3]).shuffle(0, 4, 1, 5).set(t[2]);
  f.get(v[2], v[3]).shuffle(2, 6, 3, 7).set(t[3]);
  for (let i = 0; i < 4; i++) {
    const [low, high] = i < 2 ? [t[0], t[2]] : [t[1], t[3]];
    store(i, () => (i % 2 ? f.get(low, high).shuffle(2, 3, 6, 7) : f.get(low, high).shuffle(0, 1, 4, 5)));
  }
  f.release(...v, ...t);
}

function packAdjacentK(f: Assembler, p: Panels): void {
  const [k, panel, to, body] = f.locals("i32", 4);
  const from = f.locals("i32", 4);
  f.get(p.kBytes).i32(-16).op("i32.and").set(body);
  f.for(panel, { from: 0, to: p.full }, () => {
    for (const half of [0, 1]) {
      from.forEach((column, i) => {
        f.get(p.source, panel)
          .i32(TILE_COLUMNS)
          .op("i32.mul")
          .i32(half * 4 + i)
          .op("i32.add");
        f.get(p.columnStride).op("i32.mul", "i32.add").set(column);
      });
      f.get(p.panels, panel, p.panelBytes)
        .op("i32.mul", "i32.add")
        .i32(half * 16)
        .op("i32.add")
        .set(to);
      f.for(k, { from: 0, to: body, step: 16 }, () => {
        transpose4(
          f,
          (i) => f.get(from[i]!, k).op("i32.add").memory("v128.load"),
          (i, push) => {
            f.get(to);
            push();
            f.memory("v128.store", i * 32);
          },
        );
        f.get(to).i32(128).op("i32.add").set(to);
      });
      f.for(k, { from: body, to: p.kBytes, step: 4 }, () => {
        for (const [i, column] of from.entries()) {
          f.get(to, column, k)
            .op("i32.add")
            .memory("f32.load")
            .memory("f32.store", i * 4);
        }
        f.get(to).i32(32).op("i32.add").set(to);
      });
    }
  });
  f.release(k, panel, to, body, ...from);
}

/** What the fast paths leave, value by value. */
function packRest(f: Assembler, p: Panels): void {
  const names = f.locals("i32", 7);
  const [k, column, width, start, from, row, to] = names;
  f.get(p.full).i32(TILE_COLUMNS).op("i32.mul").set(start);
  f.get(p.panels, p.full, p.panelBytes).op("i32.mul", "i32.add").set(to);
  f.block((done) => {
    f.loop((next) => {
      f.get(p.columns, start).op("i32.sub").tee(width).i32(0).op("i32.le_s").brIf(done);
      f.get(width)
        .i32(TILE_COLUMNS)
        .op("i32.gt_s")
        .if(() => f.i32(TILE_COLUMNS).set(width));
      f.get(p.source, start, p.columnStride).op("i32.mul", "i32.add").set(row);
      f.get(width).i32(4).op("i32.mul").set(width);
      f.for(k, { from: 0, to: p.kBytes, step: 4 }, () => {
        f.get(to).f32x4(0).memory("v128.store").get(to).f32x4(0).memory("v128.store", 16);
        f.get(row).set(from);
        f.for(column, { from: 0, to: width, step: 4 }, () => {
          f.get(to, column).op("i32.add").get(from).memory("f32.load").memory("f32.store");
          f.get(from, p.columnStride).op("i32.add").set(from);
        });
        f.get(row, p.kStride).op("i32.add").set(row);
        f.get(to).i32(32).op("i32.add").set(to);
      });
      f.get(start).i32(TILE_COLUMNS).op("i32.add").set(start);
      f.br(next);
    });
  });
  f.release(...names);
}
