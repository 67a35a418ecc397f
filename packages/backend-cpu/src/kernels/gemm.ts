import { roundUp } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import type { Local } from "../wasm/assembler.ts";
import { divide, launchNamed, namedKernel, smaller } from "./args.ts";
import { EPILOGUE_NAMES, type EpilogueKind, epilogueWords, finish, isShort, kindText } from "./epilogue.ts";
import { chunksOf, type Gemm, type GemmRows, longest, packsRows, rowWords } from "./gemmProblem.ts";
import { type PackKind, packColumns } from "./packColumns.ts";
import { PACKED_PITCH, packRows } from "./packRows.ts";
import { columnPlace, SETTLE_NAMES, settleRows } from "./settleRows.ts";
import {
  addRows,
  byHeight,
  forBlocks,
  makeTile,
  multiply,
  OWN_PITCH,
  rowAddresses,
  storeTile,
  tileShape,
} from "./tile.ts";

// Matrix products, and convolutions as such, on the register tile of `tile.ts`: 6×16 or 5×8. b is packed into panels as wide
// as the tile, so that any layout is read one line after the other. Of the ceiling (`tile.ts`), wide and narrow: 600×192×320
// 84 and 89 %, 192×1024×192 77 and 83 %, a 3×3 convolution of 64 channels at 40² with its padding 73 and 84 %, the gradient
// of its weight 70 and 84 %. Rows that lie apart are packed too (`packRows.ts`): 1024×1024×1024 86 % wide.

const ARGS = [
  ...(["batches", "segments", "rowTable", "kTable", "m", "n", "mChunk", "nChunk", "mChunks", "nChunks"] as const),
  ...(["aPitch", "kStride", "columnStride", "bTable", "runPitch", "cPitch", "panels", "panelBytes", "block"] as const),
  ...(["firsts", "mFirst"] as const),
  ...SETTLE_NAMES,
  ...EPILOGUE_NAMES,
] as const;
const BATCH_WORDS = 5;
const SEGMENT_WORDS = 3;

interface GemmKind {
  readonly rows: GemmRows["kind"];
  /** Whether each block of rows is copied before it meets its columns. */
  readonly packsRows: boolean;
  readonly pack: PackKind | "packed";
  /** Whether columns of c lie apart. */
  readonly isSpread: boolean;
  readonly epilogue: EpilogueKind | undefined;
}

/** Units are (batch, column chunk, row chunk), then perhaps such of the last rows: each packs its columns of b, segment by segment, and sweeps its rows over them. */
function gemmKernel({ rows, packsRows, pack, isSpread, epilogue }: GemmKind) {
  return namedKernel(
    `gemm/${rows}${packsRows ? "/packed" : ""}/${pack}${isSpread ? "/spread" : ""}${kindText(epilogue)}`,
    ARGS,
    (f, arg) => {
      const tile = makeTile(f);
      const { rows: most, columns: width } = tile.shape;
      const [unit, rest, nIndex, mIndex, batch] = f.locals("i32", 5);
      const [m0, m1, n0, columns, panels] = f.locals("i32", 5);
      const [segment, lastSegment, source, aStart, kBytes] = f.locals("i32", 5);
      const [column, panel, row, height, isFirst, isLast, isRest] = f.locals("i32", 7);
      const [first, x, lanes, isWhole, isDirect, isAdded, isFinished] = f.locals("i32", 7);
      const [place, address, to, pitch, packed, packedPanel, packedPitch, blockBytes] = f.locals("i32", 8);
      const cColumns = { arg, isSpread, column: first, x, lanes, isWhole };
      const word = (index: number) => f.get(batch).memory("i32.load", index * 4);
      const where = { row, start: aStart, pitch: arg.aPitch, table: arg.rowTable };
      const packs = packsRows && rows !== "tables" ? rows : undefined;
      const short = epilogue && isShort(epilogue) ? epilogue : undefined;

      const finishTile = (kind: EpilogueKind, count: number): void => {
        f.get(address).set(to);
        for (let i = 0; i < count; i++) {
          if (i > 0) f.get(to, pitch).op("i32.add").set(to);
          const sums = tile.sums.slice(i * tile.shape.vectors, (i + 1) * tile.shape.vectors);
          const elements = (word: Local, per: string) => f.get(word, per === "column" ? place : to).op("i32.add");
          finish(f, kind, { arg, channel: row, offset: i, sums, elements });
        }
      };
      // A whole tile goes straight to c; one that is cut off, or whose epilogue is long, goes through the thread's own memory.
      const target = () => word(2).get(row, arg.cPitch).op("i32.mul", "i32.add").get(place).op("i32.add").set(address);
      const block = (): void => {
        target().get(arg.cPitch).set(pitch);
        f.get(isDirect)
          .op("i32.eqz")
          .if(() => f.own().set(address).i32(OWN_PITCH).set(pitch));
        byHeight(f, { height, most }, (count) => {
          if (packs) f.get(packedPanel).set(tile.rows[0]!);
          else rowAddresses(f, tile, { rows, height: count, ...where });
          multiply(f, tile, {
            ...{ rows: packs ? "adjacent" : rows, height: count, kBytes, panel },
            ...{ aTable: arg.kTable, aPitch: packs ? packedPitch : arg.aPitch },
          });
          f.get(isAdded).if(() => addRows(f, tile, { height: count, address, pitch }));
          if (short) f.get(isFinished).if(() => finishTile(short, count));
          storeTile(f, tile, { height: count, address, pitch });
        });
        f.get(isDirect)
          .op("i32.eqz")
          .if(() => {
            const { cPitch } = arg;
            target();
            settleRows(f, tile, { columns: cColumns, row, height, to: address, cPitch, isFirst, isLast, epilogue });
          });
      };

      f.for(unit, { from: f.begin, to: f.end }, () => {
        divide(f, [unit, arg.firsts], { quotient: isRest, remainder: batch });
        divide(f, [batch, arg.mChunks], { quotient: rest, remainder: mIndex });
        divide(f, [rest, arg.nChunks], { quotient: batch, remainder: nIndex });
        f.get(arg.batches, batch)
          .i32(BATCH_WORDS * 4)
          .op("i32.mul", "i32.add")
          .set(batch);
        f.get(mIndex, arg.mChunk).op("i32.mul").tee(m0);
        f.get(arg.mChunk, arg.mFirst, isRest).select().op("i32.add").set(m1);
        smaller(f, m1, arg.m).set(m1);
        f.get(m0, arg.mFirst, isRest).op("i32.mul", "i32.add").set(m0);
        smaller(f, m0, m1).set(m0);
        f.get(nIndex, arg.nChunk).op("i32.mul").set(n0);
        f.get(arg.n, n0).op("i32.sub").set(columns);
        smaller(f, columns, arg.nChunk).set(columns);
        f.get(arg.panels, arg.panelBytes).thread().op("i32.mul", "i32.add").set(panels);
        if (packs) f.get(panels, arg.block).op("i32.add").set(packed).i32(PACKED_PITCH).set(packedPitch);
        word(4).set(lastSegment);
        word(3).set(rest);
        f.for(segment, { from: rest, to: lastSegment }, () => {
          f.get(segment, rest).op("i32.eq").set(isFirst);
          f.get(segment).i32(1).op("i32.add").get(lastSegment).op("i32.eq").set(isLast);
          f.get(arg.segments, segment)
            .i32(SEGMENT_WORDS * 4)
            .op("i32.mul", "i32.add")
            .set(source);
          word(0).get(source).memory("i32.load").op("i32.add").set(aStart);
          f.get(source).memory("i32.load", 8).set(kBytes);
          word(1).get(source).memory("i32.load", 4).op("i32.add");
          if (pack !== "runs") f.get(n0, pack === "packed" ? kBytes : arg.columnStride).op("i32.mul", "i32.add");
          f.set(source);
          const { kStride, columnStride } = arg;
          if (pack === "packed") f.get(source).set(panels);
          else packColumns(f, pack, { source, runs: arg, first: n0, kStride, columnStride, kBytes, columns, panels });
          if (packs) {
            f.get(kBytes)
              .i32(PACKED_PITCH / 4)
              .op("i32.mul")
              .set(blockBytes);
            const a = { rows: packs, from: m0, to: m1, start: aStart, pitch: arg.aPitch };
            packRows(f, tile, { ...a, kBytes, packed, blockBytes });
            f.get(packed).set(packedPanel);
          }
          // Rows outside: what is written lies together, and a's rows are read from memory once.
          forBlocks(f, { row, height, most, from: m0, to: m1, isEven: !packs }, () => {
            f.get(panels).set(panel);
            f.for(column, { from: 0, to: columns, step: width }, () => {
              f.get(n0, column).op("i32.add").set(first);
              columnPlace(f, cColumns);
              f.set(place).get(columns, column).op("i32.sub").tee(lanes).i32(width).op("i32.ge_s");
              f.i32(isSpread ? 0 : 1)
                .op("i32.and")
                .tee(isWhole);
              if (epilogue && !short) f.get(isLast).op("i32.eqz", "i32.and");
              f.tee(isDirect).get(isLast).op("i32.and").set(isFinished);
              f.get(isDirect)
                .get(isFirst)
                .op("i32.eqz", "i32.and")
                .set(isAdded)
                .i32(width)
                .get(lanes)
                .i32(width)
                .get(lanes)
                .op("i32.lt_s")
                .select()
                .set(lanes);
              block();
              f.get(panel, kBytes).i32(width).op("i32.mul", "i32.add").set(panel);
            });
            if (packs) f.get(packedPanel, blockBytes).op("i32.add").set(packedPanel);
          });
        });
      });
    },
  );
}

// Multiply-adds that one chunk should hold.
const CHUNK_WORK = 1 << 19;

/** A table with what `add` puts behind its rows so far for each of `items`. */
function rowsOf<T>(items: readonly T[], add: (table: number[], item: T) => void): number[] {
  const table: number[] = [];
  for (let i = 0; i < items.length; i++) add(table, items[i]!);
  return table;
}

/** Runs c [m, n] = a [m, K] · b [K, n], then the epilogue, for every batch. Sums run in ascending k whatever the number of threads. */
export function gemm(runtime: CpuRuntime, problem: Gemm): void {
  const { m, n, batches, segments, rows, columns, cPitch, epilogue } = problem;
  if (m === 0 || n === 0 || batches.length === 0) return;
  const shape = tileShape(runtime);
  const { chunks, units, work } = chunksOf(problem, { shape, threads: runtime.threads });
  const block = roundUp(chunks.nChunk, shape.columns) * longest(segments) * 4;
  const packs = packsRows(problem);
  const packedBytes = packs ? Math.ceil(chunks.mChunk / shape.rows) * PACKED_PITCH * longest(segments) : 0;
  const [kStride, columnStride] = columns.kind === "strided" ? [columns.k, columns.column] : [0, 0];
  const runs = columns.kind === "runs" ? columns : undefined;
  const pack = columns.kind !== "strided" ? columns.kind : kStride === 4 ? "columns" : "any";
  const tables = [
    rowsOf(batches, (row, { a, b, c, segments: range }) => row.push(a, b, c, range[0], range[1])),
    rowsOf(segments, (row, segment) => row.push(segment.a, segment.b, segment.k * 4)),
    runs?.k ?? [],
  ];
  runtime.withTables(tables, ([batchTable, segmentTable, bTable]) =>
    runtime.withScratch(runtime.threads * (block + packedBytes), (panels) =>
      launchNamed(
        runtime,
        gemmKernel({ rows: rows.kind, packsRows: packs, pack, isSpread: !!runs?.to, epilogue: epilogue?.kind }),
        {
          words: {
            batches: batchTable!,
            segments: segmentTable!,
            ...rowWords(rows),
            m,
            n,
            ...chunks,
            kStride,
            columnStride,
            bTable: bTable!,
            runPitch: runs?.pitch ?? 0,
            runLength: runs?.length ?? 0,
            toRun: runs?.to?.[0] ?? 0,
            toStep: runs?.to?.[1] ?? 0,
            cPitch,
            panels,
            panelBytes: block + packedBytes,
            block,
            ...epilogueWords(epilogue),
          },
          units,
          grain: Math.max(1, Math.floor(CHUNK_WORK / work)),
        },
      ),
    ),
  );
}
