import type { EpilogueOperand } from "@dfine/tensor/kernel";
import type { Assembler, Local } from "../wasm/assembler.ts";
import { loadRow, storeRow } from "../wasm/vectors.ts";
import { divide } from "./args.ts";
import { type EPILOGUE_NAMES, type EpilogueKind, finish } from "./epilogue.ts";
import { OWN_PITCH, SPARE_ROW, type Tile } from "./tile.ts";

/** Words of a launch that say where columns of c lie: how many make a run, and bytes to the next one and to the next run. */
export const SETTLE_NAMES = ["runLength", "toStep", "toRun"] as const;

export interface Columns {
  readonly arg: Record<(typeof SETTLE_NAMES)[number] | (typeof EPILOGUE_NAMES)[number], Local>;
  /** Whether they lie apart; else they are adjacent. */
  readonly isSpread: boolean;
  /** The tile's first column and, of a spread one, its place in its run. */
  readonly column: Local;
  readonly x: Local;
  /** How many of the tile's columns there are; whether they are all, and adjacent. */
  readonly lanes: Local;
  readonly isWhole: Local;
}

/** Pushes the bytes from a row of c to `column`, and leaves its place in its run in `x`. */
export function columnPlace(f: Assembler, { arg, isSpread, column, x }: Columns): void {
  if (!isSpread) {
    f.get(column).i32(2).op("i32.shl");
    return;
  }
  const run = f.local("i32");
  divide(f, [column, arg.runLength], { quotient: run, remainder: x });
  f.get(run, arg.toRun).op("i32.mul").get(x, arg.toStep).op("i32.mul", "i32.add").release(run);
}

export interface Settling {
  readonly columns: Columns;
  readonly row: Local;
  readonly height: Local;
  /** Address of c at the tile's first row and column. Changed. */
  readonly to: Local;
  readonly cPitch: Local;
  /** Whether c holds the sums of earlier stretches of k, and whether this is the last. */
  readonly isFirst: Local;
  readonly isLast: Local;
  readonly epilogue: EpilogueKind | undefined;
}

/** Moves a tile's sums from the thread's own memory to c: adds what is there, then the epilogue, and leaves out columns that do not exist. */
export function settleRows(f: Assembler, tile: Tile, settling: Settling): void {
  const { columns, row, height, to, cPitch, isFirst, isLast, epilogue } = settling;
  const [channel, end, own, source, spare, from] = f.locals("i32", 6);
  const sums = f.locals("v128", tile.shape.vectors);
  f.own().tee(own).i32(SPARE_ROW).op("i32.add").set(spare);
  f.get(row, height).op("i32.add").set(end);
  /** Has `source` point to what lies at `at` for the tile's columns, side by side. */
  const readable = (at: Local): void => {
    f.get(columns.isWhole).if(
      () => f.get(at).set(source),
      () => {
        eachLane(f, { columns, to: at }, (lane, place) =>
          f.get(spare, lane).op("i32.add").get(place).memory("f32.load").memory("f32.store"),
        );
        f.get(spare).set(source);
      },
    );
  };
  f.for(channel, { from: row, to: end }, () => {
    loadRow(f, sums, own);
    f.get(isFirst)
      .op("i32.eqz")
      .if(() => {
        readable(to);
        for (const [j, sum] of sums.entries())
          f.get(source)
            .memory("v128.load", j * 16)
            .get(sum)
            .op("f32x4.add")
            .set(sum);
      });
    if (epilogue)
      f.get(isLast).if(() => {
        const elements = (word: Local, per: EpilogueOperand["per"]): void => {
          if (per === "column") f.get(word, columns.column).i32(2).op("i32.shl", "i32.add");
          else f.get(word, to).op("i32.add");
          f.set(from);
          readable(from);
          f.get(source);
        };
        finish(f, epilogue, { arg: columns.arg, channel, sums, elements });
      });
    f.get(columns.isWhole).if(
      () => storeRow(f, sums, to),
      () => {
        storeRow(f, sums, own);
        eachLane(f, { columns, to }, (lane, place) =>
          f.get(place, own, lane).op("i32.add").memory("f32.load").memory("f32.store"),
        );
      },
    );
    f.get(to, cPitch).op("i32.add").set(to);
    f.get(own).i32(OWN_PITCH).op("i32.add").set(own);
  });
  f.release(channel, end, own, source, spare, from, ...sums);
}

/** Visits the tile's columns in a row of c: their byte offsets in the tile's row, and their addresses. */
function eachLane(
  f: Assembler,
  { columns: { arg, isSpread, x, lanes }, to }: { columns: Columns; to: Local },
  visit: (lane: Local, place: Local) => void,
): void {
  const [lane, place, last, along] = f.locals("i32", 4);
  f.get(to).set(place);
  f.get(lanes).i32(2).op("i32.shl").set(last);
  if (isSpread) f.get(x).set(along);
  f.for(lane, { from: 0, to: last, step: 4 }, () => {
    visit(lane, place);
    f.get(place)
      .value(isSpread ? arg.toStep : 4)
      .op("i32.add")
      .set(place);
    if (!isSpread) return;
    f.get(along).i32(1).op("i32.add").tee(along).get(arg.runLength).op("i32.eq");
    f.if(() => {
      f.i32(0).set(along);
      f.get(place, arg.toRun).op("i32.add").get(arg.runLength, arg.toStep).op("i32.mul", "i32.sub").set(place);
    });
  });
  f.release(lane, place, last, along);
}
