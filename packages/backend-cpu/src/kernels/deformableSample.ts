import type { DeformableSampleAttrs } from "@dfine/tensor";
import type { Override } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import { loadRow, storeRow } from "../wasm/vectors.ts";
import { divide, launchNamed, namedKernel } from "./args.ts";
import { LEVEL_BYTES, levelTable, locate, type Method, makeTaps, putAddresses, sampleSizes } from "./deformableTaps.ts";

const NAMES = [
  ...(["value", "locations", "weights", "to", "levels", "zeros"] as const),
  ...(["queries", "heads", "points", "depthBytes", "imageBytes", "tokenBytes"] as const),
] as const;

// Tile: two vectors of a head, a fifth faster than one at a depth of 32. Taps of a point are found together, a lane each: 13 % of
// the ceiling (`tile.ts`) wide, for four images of 500 queries at a depth of 32.

// In the thread's own memory.
const [ADDRESSES, SHARES] = [0, 64] as const;

/** Units are (image, query): each head's points one after the other, added into the output. */
const kernel = (method: Method) =>
  namedKernel(`deformableSample/${method}`, NAMES, (f, arg) => {
    const taps = makeTaps(f, method);
    const [unit, head, point, image, slice, to] = f.locals("i32", 6);
    const [level, location, weight, at, wide] = f.locals("i32", 5);
    const addresses = f.locals("i32", taps.count as number);
    const shares = f.locals("v128", taps.count as number);
    const sums = f.locals("v128", 2);
    const [here, own, one] = [f.local("i32"), f.local("i32"), f.local("f32")];

    const addPoint = (): void => {
      locate(f, taps, { level, location, tokenBytes: arg.tokenBytes });
      putAddresses(f, taps, { start: slice, outside: arg.zeros, own, offset: ADDRESSES });
      f.get(own, taps.shares, weight).memory("v128.load32_splat").op("f32x4.mul").memory("v128.store", SHARES);
      for (const [i, address] of addresses.entries()) {
        f.get(own)
          .memory("i32.load", ADDRESSES + i * 4)
          .set(address);
        f.get(own)
          .memory("v128.load32_splat", SHARES + i * 4)
          .set(shares[i]!);
      }
      f.for(at, { from: 0, to: wide, step: 32 }, () => {
        f.get(to, at).op("i32.add").set(here);
        loadRow(f, sums, here);
        for (const [i, address] of addresses.entries()) {
          f.get(address, at).op("i32.add").set(here);
          for (const [j, sum] of sums.entries())
            f.get(here)
              .memory("v128.load", j * 16)
              .get(shares[i]!)
              .madd(sum);
        }
        f.get(to, at).op("i32.add").set(here);
        storeRow(f, sums, here);
      });
      f.for(at, { from: wide, to: arg.depthBytes, step: 4 }, () => {
        f.get(to, at).op("i32.add").memory("f32.load").set(one);
        for (const [i, address] of addresses.entries()) {
          f.get(address, at).op("i32.add").memory("f32.load").get(shares[i]!).lane("f32x4.extract_lane", 0).madd(one);
        }
        f.get(to, at).op("i32.add").get(one).memory("f32.store");
      });
    };

    f.own().set(own);
    f.get(arg.depthBytes).i32(-32).op("i32.and").set(wide);
    f.for(unit, { from: f.begin, to: f.end }, () => {
      divide(f, [unit, arg.queries], { quotient: image, remainder: at });
      f.get(arg.value, image, arg.imageBytes).op("i32.mul", "i32.add").set(slice);
      f.get(arg.to, unit, arg.tokenBytes).op("i32.mul", "i32.add").tee(to).i32(0).get(arg.tokenBytes).op("memory.fill");
      f.get(unit, arg.heads).op("i32.mul").get(arg.points).op("i32.mul").i32(2).op("i32.shl").tee(at);
      f.get(arg.weights).op("i32.add").set(weight);
      f.get(arg.locations, at).i32(1).op("i32.shl", "i32.add").set(location);
      f.for(head, { from: 0, to: arg.heads }, () => {
        f.get(arg.levels).set(level);
        f.for(point, { from: 0, to: arg.points }, () => {
          addPoint();
          f.get(level).i32(LEVEL_BYTES).op("i32.add").set(level);
          f.get(location).i32(8).op("i32.add").set(location);
          f.get(weight).i32(4).op("i32.add").set(weight);
        });
        f.get(to, arg.depthBytes).op("i32.add").set(to);
        f.get(slice, arg.depthBytes).op("i32.add").set(slice);
      });
    });
  });

const KERNELS = { bilinear: kernel("bilinear"), discrete: kernel("discrete") };

export const deformableSampleOverride = (runtime: CpuRuntime): Override<DeformableSampleAttrs> => ({
  select: (_, { method }) => method,
  run({ inputs, outputs, attrs: { method, levels } }) {
    const sizes = sampleSizes(inputs[0]!, inputs[1]!);
    const { images, length, heads, depth, queries, points, tokenBytes } = sizes;
    const [value, locations, weights] = inputs.map((view) => runtime.pointer(view)) as [number, number, number];
    // Taps outside a level read zeros.
    runtime.withTables([new Int32Array(depth), levelTable(levels, tokenBytes)], ([zeros, table]) =>
      launchNamed(runtime, KERNELS[method], {
        words: {
          ...sizes,
          ...{ value, locations, weights, to: runtime.pointer(outputs[0]!) },
          levels: table!,
          zeros: zeros!,
          imageBytes: length * tokenBytes,
        },
        units: images * queries,
        grain: Math.max(1, Math.floor(65536 / (heads * points * depth))),
      }),
    );
  },
});
