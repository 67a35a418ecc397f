import type { CpuRuntime, WasmKernel } from "../runtime.ts";
import { argWords, divide, namedKernel } from "./args.ts";
import {
  EPILOGUE_NAMES,
  type Epilogue,
  type EpilogueKind,
  epilogueKind,
  epilogueWords,
  finish,
  kindText,
} from "./epilogue.ts";
import { outputVectors, placeVector, ROW_NAMES } from "./outputVectors.ts";
import { withTables } from "./tables.ts";
import { storeLanes } from "./tile.ts";

const NAMES = [
  ...ROW_NAMES,
  ...(["from", "planeBytes", "taps", "tapCount", "weights", "weightBytes"] as const),
  ...(["channels", "to", "toPlane", "vectors"] as const),
  ...EPILOGUE_NAMES,
] as const;
/** Output vectors summed side by side. */
const SIDE = 5;

/** Units are planes (image, channel). A tap is [bytes from an output's place, bytes into the channel's weights]. */
const kernel = (isDense: boolean, kind: EpilogueKind | undefined): WasmKernel =>
  namedKernel(`depthwise/${isDense ? "dense" : "strided"}${kindText(kind)}`, NAMES, (f, arg) => {
    const [plane, vector, line, x, offset, tap, lastTap] = f.locals("i32", 7);
    const [channel, from, to, weights] = f.locals("i32", 4);
    const vectors = outputVectors(f, SIDE);
    const sums = f.locals("v128", SIDE);
    const weight = f.local("v128");

    f.for(plane, { from: f.begin, to: f.end }, () => {
      divide(f, [plane, arg.channels], { quotient: line, remainder: channel });
      f.get(arg.weights, channel, arg.weightBytes).op("i32.mul", "i32.add").set(weights);
      f.get(arg.from, plane, arg.planeBytes).op("i32.mul", "i32.add").set(from);
      f.get(arg.to, plane, arg.toPlane).op("i32.mul", "i32.add").set(to);
      f.for(vector, { from: 0, to: arg.vectors, step: SIDE }, () => {
        for (const [offset, each] of vectors.entries())
          placeVector(f, each, { arg, vector, offset, end: arg.vectors, spare: from, line, x, from, to });
        for (const sum of sums) f.f32x4(0).set(sum);
        f.get(arg.tapCount).i32(3).op("i32.shl").set(lastTap);
        f.for(tap, { from: 0, to: lastTap, step: 8 }, () => {
          f.get(arg.taps, tap).op("i32.add").tee(x).memory("i32.load").set(offset);
          f.get(weights, x).memory("i32.load", 4).op("i32.add").memory("v128.load32_splat").set(weight);
          for (const [j, sum] of sums.entries()) {
            f.get(vectors[j]!.source, offset).op("i32.add").memory("v128.load").get(weight).madd(sum);
          }
        });
        if (kind) finish(f, kind, { arg, channel, sums });
        for (const [j, sum] of sums.entries()) {
          const { place: address, lanes } = vectors[j]!;
          storeLanes(f, sum, { address, lanes, step: isDense ? undefined : arg.toStep });
        }
      });
    });
  });

export interface DepthwiseTap {
  /** Bytes from an output's place in the padded plane, and into the channel's weights. */
  readonly input: number;
  readonly weight: number;
}

export interface Depthwise {
  /** Address of the padded planes, bytes from plane to plane and from row to row. */
  readonly from: number;
  readonly planeBytes: number;
  readonly rowBytes: number;
  readonly taps: readonly DepthwiseTap[];
  readonly weights: number;
  /** Bytes of a channel's weights. */
  readonly weightBytes: number;
  readonly images: number;
  readonly channels: number;
  readonly to: number;
  /** Bytes between planes, rows and neighbours of the output. */
  readonly toStrides: readonly [number, number, number];
  readonly outputs: readonly [number, number];
  readonly epilogue?: Epilogue | undefined;
}

const CHUNK_WORK = 1 << 18;

/** out[plane, y, x] = Σ over taps of weight · padded input, each channel by itself, then the epilogue. */
export function depthwise(runtime: CpuRuntime, problem: Depthwise): void {
  const { taps, toStrides, outputs, epilogue } = problem;
  const [height, width] = outputs;
  const rowVectors = Math.ceil(width / 4);
  const isDense = toStrides[2] === 4;
  withTables(runtime, [taps.flatMap(({ input, weight }) => [input, weight])], ([table]) =>
    runtime.launch(kernel(isDense, epilogueKind(epilogue)), {
      args: argWords(NAMES, {
        ...problem,
        taps: table!,
        tapCount: taps.length,
        toPlane: toStrides[0],
        toRow: toStrides[1],
        toStep: toStrides[2],
        vectors: height * rowVectors,
        width,
        rowVectors,
        ...epilogueWords(epilogue),
      }),
      units: problem.images * problem.channels,
      grain: Math.max(1, Math.floor(CHUNK_WORK / Math.max(1, height * width * taps.length))),
    }),
  );
}
