import type { Assembler, Local } from "../wasm/assembler.ts";
import { divide } from "./args.ts";

/** Words of a launch that say where rows of padded input and of output are. */
export const ROW_NAMES = ["rowBytes", "toRow", "toStep", "width", "rowVectors"] as const;

/** Up to four neighbours in an output row: where their windows begin, where they go, and how many they are. */
export interface OutputVector {
  readonly source: Local;
  readonly place: Local;
  readonly lanes: Local;
}

export const outputVectors = (f: Assembler, count: number): OutputVector[] =>
  Array.from({ length: count }, () => ({ source: f.local("i32"), place: f.local("i32"), lanes: f.local("i32") }));

export interface Place {
  readonly arg: Record<(typeof ROW_NAMES)[number], Local>;
  /** The vector is number `vector` + `offset`; from `end` on there are none: no lanes, read from `spare`. */
  readonly vector: Local;
  readonly offset: number;
  readonly end: Local;
  readonly spare: Local;
  /** Set to the vector's row, and to its place in the row. */
  readonly line: Local;
  readonly x: Local;
  /** Addresses of the input's and the output's plane. */
  readonly from: Local;
  readonly to: Local;
  /** Sets them where rows of several images are counted together, and leaves the row in its image in `line`. */
  readonly split?: () => void;
}

export function placeVector(f: Assembler, { source, place, lanes }: OutputVector, where: Place): void {
  const { arg, line, x } = where;
  f.i32(0).set(lanes).get(where.spare).set(source);
  f.get(where.vector)
    .i32(where.offset)
    .op("i32.add")
    .tee(x)
    .get(where.end)
    .op("i32.lt_s")
    .if(() => {
      divide(f, [x, arg.rowVectors], { quotient: line, remainder: x });
      where.split?.();
      f.get(arg.width, x).i32(2).op("i32.shl", "i32.sub").tee(lanes).i32(4).op("i32.gt_s");
      f.if(() => f.i32(4).set(lanes));
      f.get(where.from, line, arg.rowBytes).op("i32.mul", "i32.add").get(x).i32(4).op("i32.shl", "i32.add").set(source);
      f.get(where.to, line, arg.toRow).op("i32.mul", "i32.add");
      f.get(x, arg.toStep).op("i32.mul").i32(2).op("i32.shl", "i32.add").set(place);
    });
}
