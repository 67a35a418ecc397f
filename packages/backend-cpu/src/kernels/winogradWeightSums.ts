import type { CpuRuntime } from "../runtime.ts";
import type { Local } from "../wasm/assembler.ts";
import { divide, launchNamed, namedKernel } from "./args.ts";
import { PARTS } from "./winogradWeights.ts";

// Gᵀ P G of sums P for `winogradWeightGrad.ts`, four input channels at a time. It reads sixteen sums for nine values: no part
// of a product, so no share of what a core can multiply.

const NAMES = ["from", "to", "parts", "n", "quads", "mBlock", "nBlock", "nBlocks", "partBytes", "sumBytes"] as const;
const LANES = 4;
const TAPS = 9;

/** Units are (output channel, four input channels): adds up the parts of the sum in order, then transforms. */
const KERNEL = namedKernel("winogradWeightSums", NAMES, (f, arg) => {
  const [unit, row, column, block, inRow, inColumn, first, at, i, to, left] = f.locals("i32", 11);
  const half = f.local("v128");
  const sums = f.locals("v128", 4);
  const across = Array.from({ length: 4 }, () => f.locals("v128", 3));
  /** Gᵀ of four values: the first and half of the middle two's sum, half of their difference, half of their sum less the last. */
  const gather = ([a, b, c, d]: readonly Local[], [x, y, z]: readonly Local[]): void => {
    f.get(b!, c!).op("f32x4.add").f32x4(0.5).op("f32x4.mul").set(half);
    f.get(b!, c!).op("f32x4.sub").f32x4(0.5).op("f32x4.mul").set(y!);
    f.get(a!, half).op("f32x4.add").set(x!).get(half, d!).op("f32x4.sub").set(z!);
  };
  f.for(unit, { from: f.begin, to: f.end }, () => {
    divide(f, [unit, arg.quads], { quotient: row, remainder: column });
    f.get(column).i32(LANES).op("i32.mul").set(column);
    f.get(arg.to, row, arg.n)
      .op("i32.mul")
      .get(column)
      .op("i32.add")
      .i32(TAPS * 4)
      .op("i32.mul", "i32.add")
      .set(to);
    f.get(arg.n, column).op("i32.sub").set(left);
    divide(f, [row, arg.mBlock], { quotient: block, remainder: inRow });
    f.get(block, arg.nBlocks).op("i32.mul").set(row);
    divide(f, [column, arg.nBlock], { quotient: block, remainder: inColumn });
    f.get(arg.from, row, block).op("i32.add").get(arg.partBytes).op("i32.mul").i32(PARTS).op("i32.mul", "i32.add");
    f.get(inRow, arg.nBlock).op("i32.mul").get(inColumn).op("i32.add").i32(2).op("i32.shl", "i32.add").set(first);
    for (const rows of across) {
      for (const sum of sums) {
        f.f32x4(0).set(sum).get(first).set(at);
        f.for(i, { from: 0, to: arg.parts }, () => {
          f.get(sum, at).memory("v128.load").op("f32x4.add").set(sum).get(at, arg.sumBytes).op("i32.add").set(at);
        });
        f.get(first, arg.partBytes).op("i32.add").set(first);
      }
      gather(sums, rows);
    }
    for (let x = 0; x < 3; x++) {
      const taps = sums.slice(0, 3);
      gather(
        across.map((rows) => rows[x]!),
        taps,
      );
      for (let lane = 0; lane < LANES; lane++) {
        f.get(left)
          .i32(lane)
          .op("i32.gt_s")
          .if(() => {
            for (const [y, tap] of taps.entries())
              f.get(to, tap).memoryLane("v128.store32_lane", lane, (lane * TAPS + y * 3 + x) * 4);
          });
      }
    }
  });
});

/** Blocks of channels, and how many there are. */
interface ChannelBlocks {
  readonly size: number;
  readonly count: number;
}

export interface WinogradSums {
  /** Address of sums [parts, row blocks, column blocks, 16, rows of a block, columns of a block]. */
  readonly from: number;
  /** Address of [m, n, 3, 3]. */
  readonly to: number;
  readonly m: number;
  readonly n: number;
  readonly rows: ChannelBlocks;
  readonly columns: ChannelBlocks;
  readonly parts: number;
}

/** Writes the gradient of a weight, first part to last. */
export function winogradWeightSums(runtime: CpuRuntime, { from, to, m, n, rows, columns, parts }: WinogradSums): void {
  const partBytes = rows.size * columns.size * 4;
  const quads = Math.ceil(n / LANES);
  launchNamed(runtime, KERNEL, {
    words: {
      ...{ from, to, parts, n, quads, mBlock: rows.size, nBlock: columns.size, nBlocks: columns.count },
      ...{ partBytes, sumBytes: rows.count * columns.count * PARTS * partBytes },
    },
    units: m * quads,
    grain: Math.max(1, Math.ceil(4096 / (PARTS * parts * LANES))),
  });
}
