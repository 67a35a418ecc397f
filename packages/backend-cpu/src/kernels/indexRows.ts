import type { OpAttrs, Override } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import { clampIndex, launchNamed, namedKernel, smaller } from "./args.ts";

// Rows are moved by vectors, without a tile: rows of 128 numbers take 41 % of copying (`tile.ts`) to select, 43 % to add.

/** Units are positions of the index: copies a row. An index outside the rows is brought to the nearest one. */
const SELECT = namedKernel("indexSelect", ["from", "index", "to", "rows", "rowBytes"], (f, arg) => {
  const [k, row, from, to, at, wide] = f.locals("i32", 6);
  f.get(arg.rowBytes).i32(-16).op("i32.and").set(wide);
  f.for(k, { from: f.begin, to: f.end }, () => {
    f.get(arg.index, k).i32(2).op("i32.shl", "i32.add").memory("i32.load").set(row);
    clampIndex(f, row, arg.rows);
    f.get(arg.from, row, arg.rowBytes).op("i32.mul", "i32.add").set(from);
    f.get(arg.to, k, arg.rowBytes).op("i32.mul", "i32.add").set(to);
    f.for(at, { from: 0, to: wide, step: 16 }, () => {
      f.get(to, at).op("i32.add").get(from, at).op("i32.add").memory("v128.load").memory("v128.store");
    });
    f.for(at, { from: wide, to: arg.rowBytes, step: 4 }, () => {
      f.get(to, at).op("i32.add").get(from, at).op("i32.add").memory("i32.load").memory("i32.store");
    });
  });
});

export const indexSelectOverride = (runtime: CpuRuntime): Override<OpAttrs["indexSelect"]> => ({
  select: ([x]) => (x!.shape[0] === 0 ? undefined : "rows"),
  run({ inputs: [x, index], outputs: [to] }) {
    const [rows, columns] = x!.shape as [number, number];
    launchNamed(runtime, SELECT, {
      words: { from: x!, index: index!, to: to!, rows, rowBytes: columns * 4 },
      units: index!.shape[0]!,
      grain: Math.max(16, Math.floor(16384 / columns)),
    });
  },
});

/** Columns that a unit owns: one cache line of every row. */
const OWNED = 16;

/** Units are column ranges: zeros, then the updates' part of each row in ascending k. An index outside is dropped. */
const ADD = namedKernel("indexAdd", ["index", "updates", "to", "count", "rows", "rowBytes"], (f, arg) => {
  const [unit, k, row, first, last, wide] = f.locals("i32", 6);
  const [from, to, at] = f.locals("i32", 3);
  const perColumn = (vector: () => void, single: () => void): void => {
    f.for(at, { from: first, to: wide, step: 16 }, vector);
    f.for(at, { from: wide, to: last, step: 4 }, single);
  };
  const there = () => f.get(to, at).op("i32.add");
  const here = () => f.get(from, at).op("i32.add");
  f.for(unit, { from: f.begin, to: f.end }, () => {
    f.get(unit)
      .i32(OWNED * 4)
      .op("i32.mul")
      .tee(first)
      .i32(OWNED * 4)
      .op("i32.add")
      .set(last);
    smaller(f, last, arg.rowBytes).set(last);
    f.get(last, last, first).op("i32.sub").i32(15).op("i32.and", "i32.sub").set(wide);
    f.get(arg.to).set(to);
    f.for(row, { from: 0, to: arg.rows }, () => {
      perColumn(
        () => there().f32x4(0).memory("v128.store"),
        () => there().f32(0).memory("f32.store"),
      );
      f.get(to, arg.rowBytes).op("i32.add").set(to);
    });
    f.get(arg.updates).set(from);
    f.for(k, { from: 0, to: arg.count }, () => {
      f.get(arg.index, k).i32(2).op("i32.shl", "i32.add").memory("i32.load").tee(row).get(arg.rows).op("i32.lt_u");
      f.if(() => {
        f.get(arg.to, row, arg.rowBytes).op("i32.mul", "i32.add").set(to);
        perColumn(
          () => {
            there();
            there().memory("v128.load");
            here().memory("v128.load").op("f32x4.add").memory("v128.store");
          },
          () => {
            there();
            there().memory("f32.load");
            here().memory("f32.load").op("f32.add").memory("f32.store");
          },
        );
      });
      f.get(from, arg.rowBytes).op("i32.add").set(from);
    });
  });
});

export const indexAddOverride = (runtime: CpuRuntime): Override<OpAttrs["indexAdd"]> => ({
  select: () => "columns",
  run({ inputs: [index, updates], outputs: [to], attrs: { rows } }) {
    const [count, columns] = updates!.shape as [number, number];
    launchNamed(runtime, ADD, {
      words: { index: index!, updates: updates!, to: to!, count, rows, rowBytes: columns * 4 },
      units: Math.ceil(columns / OWNED),
      grain: Math.max(1, Math.floor(32768 / ((rows + count) * OWNED))),
    });
  },
});
