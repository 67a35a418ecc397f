import type { DeformableSampleAttrs } from "@dfine/tensor";
import type { Override } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import type { Local } from "../wasm/assembler.ts";
import { loadRow, storeRow } from "../wasm/vectors.ts";
import { divide, launchNamed, namedKernel } from "./args.ts";
import { copyRows } from "./attentionPanels.ts";
import { LEVEL_BYTES, levelTable, locate, type Method, makeTaps, putAddresses, sampleSizes } from "./deformableTaps.ts";

// Tile: two vectors of a head, which merge, with its four taps: more sums would not fit registers. Each tap is read, added to
// and written where others may add too, one point after the other: 9 % of the ceiling (`tile.ts`) wide, for four images of 500
// queries at a depth of 32.

const VECTORS = 2;
const STEP = VECTORS * 16;

// In the thread's own memory, behind the dots.
const [ADDRESSES, TARGETS, SHARES] = [4 * STEP, 4 * STEP + 64, 4 * STEP + 128] as const;

const NAMES = [
  ...(["dy", "value", "locations", "weights", "dValue", "dLocations", "dWeights", "levels", "zeros"] as const),
  ...(["scratch", "queries", "heads", "points", "depthBytes", "length", "tokenBytes"] as const),
] as const;

/**
 * Units are (image, head): each walks queries and points in order. Its parts of value and dValue are kept together meanwhile, where
 * they lie at few places of the caches otherwise.
 */
const kernel = (method: Method) =>
  namedKernel(`deformableSampleGrad/${method}`, NAMES, (f, arg) => {
    const taps = makeTaps(f, method);
    const count: number = taps.count;
    const [unit, head, query, point, image, slice] = f.locals("i32", 6);
    const [dSlice, dy, level, location, at, wide, offset] = f.locals("i32", 7);
    const [index, sliceBytes, sink, own, here] = f.locals("i32", 5);
    const addresses = f.locals("i32", count);
    const targets = f.locals("i32", count);
    const shares = f.locals("v128", count);
    const dots = Array.from({ length: count }, () => f.locals("v128", VECTORS));
    const [values, gs, sums] = [f.locals("v128", VECTORS), f.locals("v128", VECTORS), f.locals("v128", VECTORS)];
    const [weight, mixed, products, tapDots, one] = f.locals("v128", 5);

    /** dots += dy · value, dValue += share · dy: by vectors, then by single values. */
    const sweep = (): void => {
      f.for(at, { from: 0, to: wide, step: STEP }, () => {
        f.get(dy, at).op("i32.add").set(here);
        loadRow(f, gs, here);
        for (let i = 0; i < count; i++) {
          f.get(addresses[i]!, at).op("i32.add").set(here);
          loadRow(f, values, here);
          for (let j = 0; j < VECTORS; j++) f.madd(dots[i]![j]!, values[j], gs[j]);
          f.get(targets[i]!, at).op("i32.add").set(here);
          loadRow(f, sums, here);
          for (let j = 0; j < VECTORS; j++) f.madd(sums[j]!, gs[j], shares[i]);
          storeRow(f, sums, here);
        }
      });
      // What ends in stores is merged.
      for (const [i, dot] of dots.entries()) storeRow(f, dot, own, i * STEP);
      for (const [i, [sum]] of dots.entries()) {
        f.get(own)
          .memory("v128.load", i * STEP)
          .get(own)
          .memory("v128.load", i * STEP + 16);
        f.op("f32x4.add").set(sum!);
      }
      addLanes();
      f.for(at, { from: wide, to: arg.depthBytes, step: 4 }, () => {
        f.get(dy, at).op("i32.add").memory("v128.load32_splat").tee(one).get(mixed).op("f32x4.mul").set(products);
        for (let i = 0; i < count; i++) {
          f.get(addresses[i]!, at).op("i32.add").get(values[0]).memoryLane("v128.load32_lane", i).set(values[0]);
          f.get(targets[i]!, at).op("i32.add").tee(here).get(here).memory("f32.load");
          f.get(products).lane("f32x4.extract_lane", i).op("f32.add").memory("f32.store");
        }
        f.madd(tapDots, values[0], one);
      });
    };
    /** tapDots = the sum of each dot's lanes, in the tap's lane. */
    const addLanes = (): void => {
      const [a, b, c, d] = [0, 1, 2, 3].map((i) => dots[i % count]![0]!) as [Local, Local, Local, Local];
      const [low, high] = sums;
      const halves = (x: Local, y: Local, to: Local): void => {
        f.get(x, y).shuffle(0, 4, 1, 5).get(x, y).shuffle(2, 6, 3, 7).op("f32x4.add").set(to);
      };
      halves(a, b, low);
      halves(c, d, high);
      f.get(low, high).shuffle(0, 1, 4, 5).get(low, high).shuffle(2, 3, 6, 7).op("f32x4.add").set(tapDots);
    };
    /** Stores weight · size · ((d1 − d0) · near + (d3 − d2) · far) for the taps' dots d, and the same along y. */
    const storeSlopes = (): void => {
      const { along, left, size } = taps;
      const apart = (here: readonly [number, number], before: readonly [number, number]): void => {
        for (const [x, y] of [here, before]) f.get(tapDots, tapDots).shuffle(x, y, x, y);
        f.op("f32x4.sub");
      };
      apart([1, 2], [0, 0]);
      f.get(left, left).shuffle(1, 0, 1, 0).op("f32x4.mul");
      apart([3, 3], [2, 1]);
      f.get(along, along).shuffle(1, 0, 1, 0).op("f32x4.mul", "f32x4.add");
      f.get(size, weight).op("f32x4.mul", "f32x4.mul").set(products);
      for (const lane of [0, 1]) f.get(location, products).memoryLane("v128.store32_lane", lane, lane * 4);
    };
    const visit = (): void => {
      f.get(arg.locations, index).i32(3).op("i32.shl", "i32.add").set(location);
      f.get(arg.weights, index).i32(2).op("i32.shl", "i32.add").memory("v128.load32_splat").set(weight);
      locate(f, taps, { level, location, tokenBytes: arg.depthBytes });
      putAddresses(f, taps, { start: slice, outside: arg.zeros, own, offset: ADDRESSES });
      putAddresses(f, taps, { start: dSlice, outside: sink, own, offset: TARGETS });
      f.get(own, weight, taps.shares).op("f32x4.mul").tee(mixed).memory("v128.store", SHARES);
      for (let i = 0; i < count; i++) {
        f.get(own)
          .memory("i32.load", ADDRESSES + i * 4)
          .set(addresses[i]!);
        f.get(own)
          .memory("i32.load", TARGETS + i * 4)
          .set(targets[i]!);
        f.get(own)
          .memory("v128.load32_splat", SHARES + i * 4)
          .set(shares[i]!);
        for (const dot of dots[i]!) f.f32x4(0).set(dot);
      }
      sweep();
      f.get(arg.dWeights, index)
        .i32(2)
        .op("i32.shl", "i32.add")
        .get(taps.shares, tapDots)
        .op("f32x4.mul")
        .tee(products);
      if (method === "bilinear") {
        f.get(products, products).shuffle(2, 3, 0, 1).op("f32x4.add").tee(products);
        f.get(products, products).shuffle(1, 0, 3, 2).op("f32x4.add");
      }
      f.memoryLane("v128.store32_lane", 0);
      f.get(arg.dLocations, index).i32(3).op("i32.shl", "i32.add").set(location);
      if (method === "bilinear") storeSlopes();
      else f.get(location).f32(0).memory("f32.store").get(location).f32(0).memory("f32.store", 4);
    };

    f.own().set(own);
    f.get(arg.depthBytes).i32(-STEP).op("i32.and").set(wide);
    f.get(arg.length, arg.depthBytes).op("i32.mul").set(sliceBytes);
    f.get(arg.scratch).thread().get(sliceBytes).i32(1).op("i32.shl").get(arg.depthBytes);
    f.op("i32.add", "i32.mul", "i32.add").tee(slice).get(sliceBytes).op("i32.add").tee(dSlice);
    f.get(sliceBytes).op("i32.add").set(sink);
    f.for(unit, { from: f.begin, to: f.end }, () => {
      divide(f, [unit, arg.heads], { quotient: image, remainder: head });
      f.get(image, arg.length).op("i32.mul").get(arg.tokenBytes).op("i32.mul").get(head, arg.depthBytes).op("i32.mul");
      f.op("i32.add").tee(offset).get(arg.value).op("i32.add").set(here);
      const [together, apart] = [arg.depthBytes, arg.tokenBytes];
      copyRows(f, {
        ...{ from: here, fromPitch: apart, columnBytes: arg.depthBytes },
        rows: { start: slice, pitch: together, count: arg.length },
      });
      f.get(dSlice).i32(0).get(sliceBytes).op("memory.fill");
      f.for(query, { from: 0, to: arg.queries }, () => {
        f.get(image, arg.queries).op("i32.mul").get(query).op("i32.add").set(index);
        f.get(arg.dy, index, arg.tokenBytes)
          .op("i32.mul", "i32.add")
          .get(head, arg.depthBytes)
          .op("i32.mul", "i32.add");
        f.set(dy);
        f.get(index, arg.heads).op("i32.mul").get(head).op("i32.add").get(arg.points).op("i32.mul").set(index);
        f.get(arg.levels).set(level);
        f.for(point, { from: 0, to: arg.points }, () => {
          visit();
          f.get(index).i32(1).op("i32.add").set(index);
          f.get(level).i32(LEVEL_BYTES).op("i32.add").set(level);
        });
      });
      f.get(arg.dValue, offset).op("i32.add").set(here);
      copyRows(f, {
        ...{ from: dSlice, fromPitch: together, columnBytes: arg.depthBytes },
        rows: { start: here, pitch: apart, count: arg.length },
      });
    });
  });

const KERNELS = { bilinear: kernel("bilinear"), discrete: kernel("discrete") };

export const deformableSampleGradOverride = (runtime: CpuRuntime): Override<DeformableSampleAttrs> => ({
  select: (_, { method }) => method,
  run({ inputs, outputs, attrs: { method, levels } }) {
    const sizes = sampleSizes(inputs[1]!, inputs[2]!);
    const { images, length, heads, depth, depthBytes } = sizes;
    const [dy, value, locations, weights, dValue, dLocations, dWeights] = [...inputs, ...outputs].map((view) =>
      runtime.pointer(view),
    ) as [number, number, number, number, number, number, number];
    // Taps outside a level read zeros, and what they would add goes into a sink behind the slices.
    const scratchBytes = runtime.threads * (2 * length + 1) * depthBytes;
    runtime.withTables([new Int32Array(depth), levelTable(levels, depthBytes)], ([zeros, table]) =>
      runtime.withScratch(scratchBytes, (scratch) =>
        launchNamed(runtime, KERNELS[method], {
          words: {
            ...{ ...sizes, dy, value, locations, weights, dValue, dLocations, dWeights, scratch },
            ...{ levels: table!, zeros: zeros! },
          },
          units: images * heads,
          grain: 1,
        }),
      ),
    );
  },
});
