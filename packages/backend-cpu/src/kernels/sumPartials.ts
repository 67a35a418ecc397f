import type { CpuRuntime } from "../runtime.ts";
import { divide, launchNamed, namedKernel } from "./args.ts";

// Tile: a vector of four columns, whose sums are stored one below the other. 45 % of copying (`tile.ts`) for 16 parts.

const LANES = 4;

/** Units are (group, four columns): sums the partials in order and writes the columns as rows. */
const KERNEL = namedKernel("sumPartials", ["from", "to", "parts", "rows", "columns", "quads"], (f, arg) => {
  const [unit, group, column, row, part, from] = f.locals("i32", 6);
  const [first, partBytes, pitch, rowBytes, left] = f.locals("i32", 5);
  const to = f.locals("i32", LANES);
  const sum = f.local("v128");
  f.get(arg.columns).i32(2).op("i32.shl").set(pitch);
  f.get(pitch, arg.rows).op("i32.mul").set(partBytes);
  f.get(arg.rows).i32(2).op("i32.shl").set(rowBytes);
  const forRows = (store: () => void): void => {
    f.for(row, { from: 0, to: rowBytes, step: 4 }, () => {
      f.get(first).set(from);
      f.f32x4(0).set(sum);
      f.for(part, { from: 0, to: arg.parts }, () => {
        f.get(sum, from).memory("v128.load").op("f32x4.add").set(sum);
        f.get(from, partBytes).op("i32.add").set(from);
      });
      store();
      f.get(first, pitch).op("i32.add").set(first);
    });
  };
  const storeLane = (j: number) => f.get(to[j]!, row).op("i32.add").get(sum).memoryLane("v128.store32_lane", j);
  f.for(unit, { from: f.begin, to: f.end }, () => {
    divide(f, [unit, arg.quads], { quotient: group, remainder: column });
    f.get(column).i32(2).op("i32.shl").set(column);
    f.get(arg.from, group, arg.parts).op("i32.mul").get(partBytes).op("i32.mul", "i32.add");
    f.get(column).i32(2).op("i32.shl", "i32.add").set(first);
    f.get(arg.to, group, arg.columns).op("i32.mul").get(column).op("i32.add").get(rowBytes).op("i32.mul", "i32.add");
    f.set(to[0]);
    for (let j = 1; j < LANES; j++)
      f.get(to[j - 1]!, rowBytes)
        .op("i32.add")
        .set(to[j]!);
    f.get(arg.columns, column).op("i32.sub").tee(left).i32(LANES).op("i32.ge_s");
    f.if(
      () =>
        forRows(() => {
          for (let j = 0; j < LANES; j++) storeLane(j);
        }),
      () =>
        forRows(() => {
          for (let j = 0; j < LANES - 1; j++)
            f.get(left)
              .i32(j)
              .op("i32.gt_s")
              .if(() => storeLane(j));
        }),
    );
  });
});

/** Bytes that may be read past the last partial sum. */
export const PARTIALS_SLACK = 12;

export interface Partials {
  /** Address of partial sums [groups, parts, rows, columns], and behind them room for `PARTIALS_SLACK` bytes. */
  readonly from: number;
  /** Address of [groups, columns, rows]. */
  readonly to: number;
  readonly groups: number;
  readonly parts: number;
  readonly rows: number;
  readonly columns: number;
}

/** Adds up partial sums, first to last, and transposes them. */
export function sumPartials(runtime: CpuRuntime, { groups, parts, rows, columns, from, to }: Partials): void {
  const quads = Math.ceil(columns / LANES);
  launchNamed(runtime, KERNEL, {
    words: { from, to, parts, rows, columns, quads },
    units: groups * quads,
    grain: Math.max(1, Math.ceil(32768 / (rows * parts * LANES))),
  });
}
