import type { CpuRuntime } from "../runtime.ts";
import { divide, launchNamed, namedKernel } from "./args.ts";

/** Units are (group, column): sums the partials in order and writes the column as a row. */
const KERNEL = namedKernel("sumPartials", ["from", "to", "parts", "rows", "columns"], (f, arg) => {
  const [unit, group, column, row, part, from] = f.locals("i32", 6);
  const [first, to, partBytes, pitch] = f.locals("i32", 4);
  const sum = f.local("f32");
  f.get(arg.columns).i32(2).op("i32.shl").set(pitch);
  f.get(pitch, arg.rows).op("i32.mul").set(partBytes);
  f.for(unit, { from: f.begin, to: f.end }, () => {
    divide(f, [unit, arg.columns], { quotient: group, remainder: column });
    f.get(arg.from, group, arg.parts).op("i32.mul").get(partBytes).op("i32.mul", "i32.add");
    f.get(column).i32(2).op("i32.shl", "i32.add").set(first);
    f.get(arg.to, unit, arg.rows).op("i32.mul").i32(2).op("i32.shl", "i32.add").set(to);
    f.for(row, { from: 0, to: arg.rows }, () => {
      f.get(first).set(from);
      f.f32(0).set(sum);
      f.for(part, { from: 0, to: arg.parts }, () => {
        f.get(sum, from).memory("f32.load").op("f32.add").set(sum);
        f.get(from, partBytes).op("i32.add").set(from);
      });
      f.get(to, sum).memory("f32.store");
      f.get(to).i32(4).op("i32.add").set(to);
      f.get(first, pitch).op("i32.add").set(first);
    });
  });
});

export interface Partials {
  /** Address of partial sums [groups, parts, rows, columns]. */
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
  launchNamed(runtime, KERNEL, {
    words: { from, to, parts, rows, columns },
    units: groups * columns,
    grain: Math.max(1, Math.ceil(32768 / (rows * parts))),
  });
}
