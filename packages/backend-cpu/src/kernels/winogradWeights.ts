import { roundUp } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import type { Assembler, Local } from "../wasm/assembler.ts";
import { launchNamed, namedKernel } from "./args.ts";

// G g Gᵀ of 3×3 weights g, for `winograd.ts`: 28 operations for nine values read one by one and sixteen written four at a
// time. No part of a product, so no share of what a core can multiply.

const NAMES = ["from", "rowBytes", "channelBytes", "channels", "to", "toRow", "toPart"] as const;
const LANES = 4;
/** Values of a weight after the transform: that many products take the place of nine taps. */
export const PARTS = 16;

/** G of three vectors: the first, half of all three, half of them with the second subtracted, the last. */
function spread(f: Assembler, [a, b, c]: readonly Local[]): readonly [Local, Local, Local, Local] {
  const [sum, difference] = f.locals("v128", 2);
  f.get(a!, c!).op("f32x4.add").tee(difference).get(b!).op("f32x4.add").f32x4(0.5).op("f32x4.mul").set(sum);
  f.get(difference, b!).op("f32x4.sub").f32x4(0.5).op("f32x4.mul").set(difference);
  return [a!, sum, difference, c!];
}

/** Units are rows: four channels at a time, the last four of a row perhaps anew. Flipped weights are read from the last tap. */
const kernel = (isFlipped: boolean) =>
  namedKernel(`winogradWeights${isFlipped ? "/flipped" : ""}`, NAMES, (f, arg) => {
    const [row, channel, first, last, to] = f.locals("i32", 5);
    const from = f.locals("i32", LANES);
    const taps = f.locals("v128", 9);
    f.get(arg.channels).i32(LANES).op("i32.sub").set(last);
    f.for(row, { from: f.begin, to: f.end }, () => {
      f.for(channel, { from: 0, to: arg.channels, step: LANES }, () => {
        f.get(channel, last, channel, last).op("i32.lt_s").select().set(first);
        f.get(arg.from, row, arg.rowBytes).op("i32.mul", "i32.add").get(first, arg.channelBytes);
        f.op("i32.mul", "i32.add").set(from[0]);
        for (let i = 1; i < LANES; i++)
          f.get(from[i - 1]!, arg.channelBytes)
            .op("i32.add")
            .set(from[i]!);
        f.get(arg.to, row, arg.toRow).op("i32.mul", "i32.add").get(first).i32(2).op("i32.shl", "i32.add").set(to);
        for (const [tap, lanes] of taps.entries()) {
          const offset = (isFlipped ? 8 - tap : tap) * 4;
          f.get(from[0]).memory("v128.load32_splat", offset).set(lanes);
          for (let i = 1; i < LANES; i++) f.get(from[i]!, lanes).memoryLane("v128.load32_lane", i, offset).set(lanes);
        }
        const columns = [0, 1, 2].map((x) => spread(f, [taps[x]!, taps[3 + x]!, taps[6 + x]!]));
        for (let y = 0; y < 4; y++) {
          const parts = spread(
            f,
            columns.map((column) => column[y]!),
          );
          for (const part of parts) f.get(to, part).memory("v128.store").get(to, arg.toPart).op("i32.add").set(to);
          f.release(parts[1], parts[2]);
        }
        for (const [, sum, difference] of columns) f.release(sum, difference);
      });
    });
  });

export interface WinogradWeights {
  /** Address of the first tap; bytes from row to row and from channel to channel. */
  readonly from: number;
  readonly rowBytes: number;
  readonly channelBytes: number;
  readonly rows: number;
  /** At least 4. */
  readonly channels: number;
  /** Whether windows meet the last tap first. */
  readonly isFlipped: boolean;
}

/** How transformed weights [16, rows, channels] lie, in bytes. */
export const winogradWeightsLayout = ({ rows, channels }: Pick<WinogradWeights, "rows" | "channels">) => {
  const row = channels * 4;
  const part = roundUp(rows * row, 64) + 64;
  return { row, part, bytes: PARTS * part };
};

// Weights that one chunk transforms at least.
const CHUNK = 4096;

/** Writes the transformed weights at `to`. */
export function winogradWeights(
  runtime: CpuRuntime,
  { rows, isFlipped, ...weights }: WinogradWeights,
  to: number,
): void {
  const { row, part } = winogradWeightsLayout({ rows, ...weights });
  launchNamed(runtime, kernel(isFlipped), {
    words: { ...weights, to, toRow: row, toPart: part },
    units: rows,
    grain: Math.ceil(CHUNK / weights.channels),
  });
}
