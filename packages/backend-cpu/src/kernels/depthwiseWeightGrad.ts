import type { CpuRuntime } from "../runtime.ts";
import { launchNamed, namedKernel } from "./args.ts";

// Each channel by itself, with a load for each multiply-add. Tile: seven taps, each with a vector of sums. A 5×5 of four
// images at 40²: 17 % of the ceiling (`tile.ts`) wide, 40 % narrow.

const NAMES = [
  ...(["dy", "from", "planeBytes", "rowBytes", "taps", "tapCount"] as const),
  ...(["images", "channels", "to", "height", "width"] as const),
] as const;
/** Taps summed side by side: pairs of vectors that merge gain at 40² and lose more at 20² and 10², whose rows eight does not divide. */
const SIDE = 7;
// Bytes of dy after which the lanes' sums join the totals, at the end of a row: rounding grows with the length of a run.
const RUN_BYTES = 192 * 16;

/** Units are channels: the products of dy and the padded input, summed lane by lane over rows, then across lanes. */
const KERNEL = namedKernel("depthwiseWeightGrad", NAMES, (f, arg) => {
  const [channel, tap, image, line, x, wide] = f.locals("i32", 6);
  const [plane, from, dy, rest, to, place] = f.locals("i32", 6);
  const sums = f.locals("v128", SIDE);
  const sources = f.locals("i32", SIDE);
  const totals = f.locals("f32", SIDE);
  const run = f.local("i32");
  const [value, mask] = [f.local("v128"), f.local("v128")];

  const step = (isRest: boolean): void => {
    for (const [j, sum] of sums.entries()) {
      f.get(sources[j]!, x).op("i32.add").memory("v128.load");
      // Lanes past the row's end may hold anything: NaN · 0 is not 0.
      if (isRest) f.get(mask).op("v128.and");
      f.get(value).madd(sum);
    }
  };
  const row = (): void => {
    for (const [j, source] of sources.entries()) {
      f.get(from, line, arg.rowBytes).op("i32.mul", "i32.add");
      f.get(place)
        .memory("i32.load", j * 4)
        .op("i32.add")
        .set(source);
    }
    f.for(x, { from: 0, to: wide, step: 16 }, () => {
      f.get(dy, x).op("i32.add").memory("v128.load").set(value);
      step(false);
    });
    f.get(rest).if(() => {
      f.f32x4(0).set(value);
      f.get(dy, wide).op("i32.add").set(plane);
      for (let lane = 0; lane < 3; lane++)
        f.get(rest)
          .i32(lane)
          .op("i32.gt_s")
          .if(() => {
            f.get(plane, value)
              .memoryLane("v128.load32_lane", lane, lane * 4)
              .set(value);
          });
      step(true);
    });
  };

  const joinTotals = (): void => {
    for (const [j, sum] of sums.entries()) {
      f.get(sum, sum, sum).shuffle(2, 3, 0, 1).op("f32x4.add").set(sum);
      f.get(totals[j]!, sum).lane("f32x4.extract_lane", 0).get(sum).lane("f32x4.extract_lane", 1);
      f.op("f32.add", "f32.add").set(totals[j]!);
      f.f32x4(0).set(sum);
    }
    f.i32(0).set(run);
  };

  f.get(arg.width).i32(2).op("i32.shr_u").i32(4).op("i32.shl").set(wide);
  f.get(arg.width).i32(3).op("i32.and").set(rest);
  f.i32x4(0, 1, 2, 3).get(rest).op("i32x4.splat", "i32x4.lt_s").set(mask);
  f.for(channel, { from: f.begin, to: f.end }, () => {
    f.for(tap, { from: 0, to: arg.tapCount, step: SIDE }, () => {
      f.get(arg.taps, tap).i32(2).op("i32.shl", "i32.add").set(place);
      for (const sum of sums) f.f32x4(0).set(sum);
      for (const total of totals) f.f32(0).set(total);
      f.i32(0).set(run);
      f.for(image, { from: 0, to: arg.images }, () => {
        f.get(image, arg.channels).op("i32.mul").get(channel).op("i32.add").set(plane);
        f.get(arg.from, plane, arg.planeBytes).op("i32.mul", "i32.add").set(from);
        f.get(arg.dy, plane, arg.height).op("i32.mul").get(arg.width).op("i32.mul").i32(2).op("i32.shl", "i32.add");
        f.set(dy);
        f.for(line, { from: 0, to: arg.height }, () => {
          row();
          f.get(run, wide).op("i32.add").tee(run).i32(RUN_BYTES).op("i32.ge_s").if(joinTotals);
          f.get(dy, arg.width).i32(2).op("i32.shl", "i32.add").set(dy);
        });
      });
      f.get(channel, arg.tapCount).op("i32.mul").get(tap).op("i32.add").i32(2).op("i32.shl").get(arg.to).op("i32.add");
      f.set(to);
      joinTotals();
      f.get(arg.tapCount, tap).op("i32.sub").set(image);
      for (const [j, total] of totals.entries())
        f.get(image)
          .i32(j)
          .op("i32.gt_s")
          .if(() => f.get(to, total).memory("f32.store", j * 4));
    });
  });
});

export interface DepthwiseWeightGrad {
  /** Address of dy [images, channels, height, width]. */
  readonly dy: number;
  /** Address of the padded planes, bytes from plane to plane and from row to row. */
  readonly from: number;
  readonly planeBytes: number;
  readonly rowBytes: number;
  /** Bytes from an output's place in the padded plane. */
  readonly taps: readonly number[];
  readonly images: number;
  readonly channels: number;
  /** Address of the weights' gradient [channels, taps]. */
  readonly to: number;
  readonly outputs: readonly [number, number];
}

/** dW[channel, tap] = Σ over images, rows and columns of dy · padded input. */
export function depthwiseWeightGrad(runtime: CpuRuntime, problem: DepthwiseWeightGrad): void {
  const { taps, outputs } = problem;
  const [height, width] = outputs;
  const spare = Array.from({ length: (SIDE - (taps.length % SIDE)) % SIDE }, () => taps[0]!);
  runtime.withTables([[...taps, ...spare]], ([table]) =>
    launchNamed(runtime, KERNEL, {
      words: { ...problem, taps: table!, tapCount: taps.length, height, width },
      units: problem.channels,
      grain: Math.max(1, Math.floor(262144 / (problem.images * height * width * taps.length))),
    }),
  );
}
