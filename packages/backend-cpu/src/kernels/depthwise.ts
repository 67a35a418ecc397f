import type { CpuRuntime } from "../runtime.ts";
import type { Assembler, Local } from "../wasm/assembler.ts";
import { storeRow } from "../wasm/vectors.ts";
import { divide, launchNamed, namedKernel } from "./args.ts";
import { type BoundEpilogue, EPILOGUE_NAMES, type EpilogueKind, epilogueWords, finish, kindText } from "./epilogue.ts";

// Each channel by itself: few multiply-adds for each value, so what limits is loads, and what a tap costs besides. Tile: six
// pieces of eight outputs, or five of four; of a gradient that goes back over a stride of 2, pairs of such pieces, which are
// stored between each other. A 5×5 at 40², with its padding: 25 % of the ceiling (`tile.ts`) wide, 36 % narrow.

const NAMES = [
  ...(["rowBytes", "toRow", "toStep", "width", "rowPieces"] as const),
  ...(["from", "planeBytes", "taps", "tapCount", "oddTaps", "weights", "weightBytes"] as const),
  ...(["channels", "to", "toPlane", "pieces"] as const),
  ...EPILOGUE_NAMES,
] as const;

// Neighbours in an output row are a piece: two vectors where they merge. Several pieces are summed side by side, so that
// what a tap costs is shared and sums do not wait for each other.
const WIDE = { vectors: 2, side: 6 };
const NARROW = { vectors: 1, side: 5 };
const shapeFor = ({ wide = false }: { readonly wide?: boolean }) => (wide ? WIDE : NARROW);

/** Outputs of a piece: neighbours; every second one and those between, which have taps of their own; or some bytes apart. */
type Lay = "dense" | "paired" | "strided";

/** Units are planes (image, channel). A tap is [bytes from an output's place, bytes into the channel's weights]. */
const kernel = (lay: Lay, kind: EpilogueKind | undefined) =>
  namedKernel(`depthwise/${lay}${kindText(kind)}`, NAMES, (f, arg) => {
    const { vectors, side } = shapeFor(f.options);
    const ways = lay === "paired" ? 2 : 1;
    const outputs = vectors * 4 * ways;
    const [plane, piece, line, x, offset, tap, lastTap] = f.locals("i32", 7);
    const [channel, from, to, weights, at] = f.locals("i32", 5);
    const pieces = Array.from({ length: Math.floor(side / ways) }, () => ({
      source: f.local("i32"),
      place: f.local("i32"),
      lanes: f.local("i32"),
      sums: Array.from({ length: ways }, () => f.locals("v128", vectors)),
    }));
    const weight = f.local("v128");

    /** Where a piece's windows begin, where it goes and how many lanes it has; none past the last. */
    const locate = (i: number): void => {
      const { source, place, lanes } = pieces[i]!;
      f.i32(0).set(lanes).get(from).set(source);
      f.get(piece).i32(i).op("i32.add").tee(x).get(arg.pieces).op("i32.lt_s");
      f.if(() => {
        divide(f, [x, arg.rowPieces], { quotient: line, remainder: x });
        f.get(from, line, arg.rowBytes).op("i32.mul", "i32.add").get(x);
        f.i32(vectors * 16)
          .op("i32.mul", "i32.add")
          .set(source);
        f.get(x).i32(outputs).op("i32.mul").set(x);
        f.get(arg.width, x).op("i32.sub").tee(lanes).i32(outputs).op("i32.gt_s");
        f.if(() => f.i32(outputs).set(lanes));
        f.get(to, line, arg.toRow).op("i32.mul", "i32.add").get(x, arg.toStep).op("i32.mul", "i32.add").set(place);
      });
    };
    /** Adds the taps of one way, from `tap` to `lastTap`. */
    const sumTaps = (way: number): void => {
      f.for(tap, { from: tap, to: lastTap, step: 8 }, () => {
        f.get(arg.taps, tap).op("i32.add").tee(x).memory("i32.load").set(offset);
        f.get(weights, x).memory("i32.load", 4).op("i32.add").memory("v128.load32_splat").set(weight);
        for (const { source, sums } of pieces) {
          f.get(source, offset).op("i32.add").set(at);
          for (const [j, sum] of sums[way]!.entries())
            f.get(at)
              .memory("v128.load", j * 16)
              .get(weight)
              .madd(sum);
        }
      });
    };

    f.for(plane, { from: f.begin, to: f.end }, () => {
      divide(f, [plane, arg.channels], { quotient: line, remainder: channel });
      f.get(arg.weights, channel, arg.weightBytes).op("i32.mul", "i32.add").set(weights);
      f.get(arg.from, plane, arg.planeBytes).op("i32.mul", "i32.add").set(from);
      f.get(arg.to, plane, arg.toPlane).op("i32.mul", "i32.add").set(to);
      f.for(piece, { from: 0, to: arg.pieces, step: pieces.length }, () => {
        for (const [i, { sums }] of pieces.entries()) {
          locate(i);
          for (const sum of sums.flat()) f.f32x4(0).set(sum);
        }
        f.i32(0).set(tap);
        for (const [way, count] of [arg.tapCount, arg.oddTaps].slice(0, ways).entries()) {
          f.get(tap, count).i32(3).op("i32.shl", "i32.add").set(lastTap);
          sumTaps(way);
        }
        if (kind) finish(f, kind, { arg, channel, sums: pieces.flatMap(({ sums }) => sums.flat()) });
        for (const { sums, place, lanes } of pieces) {
          const [even, odd] = sums;
          if (odd) storePaired(f, [even!, odd], { address: place, lanes });
          else storeLanes(f, even!, { address: place, lanes, step: lay === "dense" ? undefined : arg.toStep });
        }
      });
    });
  });

/** Stores the first `lanes` numbers of two ways in turn; changes the address. */
function storePaired(
  f: Assembler,
  [even, odd]: readonly [readonly Local[], readonly Local[]],
  { address, lanes }: { address: Local; lanes: Local },
): void {
  const own = f.local("i32");
  const mixed = f.locals("v128", even.length * 2);
  // Through memory, as what is shuffled does not merge.
  f.own().set(own);
  storeRow(f, even, own);
  storeRow(f, odd, own, even.length * 16);
  for (const [i, vector] of mixed.entries()) {
    for (const way of [0, even.length]) f.get(own).memory("v128.load", ((i >> 1) + way) * 16);
    (i % 2 ? f.shuffle(2, 6, 3, 7) : f.shuffle(0, 4, 1, 5)).set(vector);
  }
  storeLanes(f, mixed, { address, lanes, step: undefined });
  f.release(own, ...mixed);
}

/** Stores the first `lanes` of some vectors, adjacent or `step` bytes apart; changes the address. */
function storeLanes(
  f: Assembler,
  vectors: readonly Local[],
  { address, lanes, step }: { address: Local; lanes: Local; step: Local | undefined },
): void {
  const [own, lane] = f.locals("i32", 2);
  const one = (): void => {
    f.own().set(own);
    storeRow(f, vectors, own);
    f.for(lane, { from: 0, to: lanes }, () => {
      f.get(address, own).memory("f32.load").memory("f32.store");
      f.get(own).i32(4).op("i32.add").set(own);
      f.get(address)
        .value(step ?? 4)
        .op("i32.add")
        .set(address);
    });
  };
  if (step) one();
  else {
    f.get(lanes)
      .i32(vectors.length * 4)
      .op("i32.eq");
    f.if(() => storeRow(f, vectors, address), one);
  }
  f.release(own, lane);
}

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
  /** Taps of outputs 1, 3, … of a row, which then begin where their left neighbours do; `taps` are of the others. */
  readonly oddTaps?: readonly DepthwiseTap[] | undefined;
  readonly weights: number;
  /** Bytes of a channel's weights. */
  readonly weightBytes: number;
  readonly images: number;
  readonly channels: number;
  readonly to: number;
  /** Bytes between planes, rows and neighbours of the output. */
  readonly toStrides: readonly [number, number, number];
  readonly outputs: readonly [number, number];
  readonly epilogue?: BoundEpilogue | undefined;
}

const CHUNK_WORK = 1 << 18;

/** out[plane, y, x] = Σ over taps of weight · padded input, each channel by itself, then the epilogue. */
export function depthwise(runtime: CpuRuntime, problem: Depthwise): void {
  const { taps, oddTaps, toStrides, outputs, epilogue } = problem;
  const [height, width] = outputs;
  const rowPieces = Math.ceil(width / (shapeFor(runtime).vectors * (oddTaps ? 8 : 4)));
  const lay = oddTaps ? "paired" : toStrides[2] === 4 ? "dense" : "strided";
  runtime.withTables([[...taps, ...(oddTaps ?? [])].flatMap(({ input, weight }) => [input, weight])], ([table]) =>
    launchNamed(runtime, kernel(lay, epilogue?.kind), {
      words: {
        ...problem,
        taps: table!,
        tapCount: taps.length,
        oddTaps: oddTaps?.length ?? 0,
        toPlane: toStrides[0],
        toRow: toStrides[1],
        toStep: toStrides[2],
        pieces: height * rowPieces,
        width,
        rowPieces,
        ...epilogueWords(epilogue),
      },
      units: problem.images * problem.channels,
      grain: Math.max(1, Math.floor(CHUNK_WORK / Math.max(1, height * width * taps.length))),
    }),
  );
}
