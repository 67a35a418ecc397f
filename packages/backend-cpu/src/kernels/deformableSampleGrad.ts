import type { DeformableSampleAttrs } from "@dfine/tensor";
import type { Override } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import { loadRow, storeRow } from "../wasm/vectors.ts";
import { divide, launchNamed, namedKernel } from "./args.ts";
import { LEVEL_BYTES, levelTable, locate, type Method, makeTaps, sampleSizes } from "./deformableTaps.ts";

// Tile: two vectors of a head, which merge, with its four taps: more sums would not fit registers. Each tap is read, added to
// and written where others may add too, one point after the other: 4 % of the ceiling (`tile.ts`) wide, 10 % narrow, for
// 300 queries.

const VECTORS = 2;
const STEP = VECTORS * 16;

const NAMES = [
  ...(["dy", "value", "locations", "weights", "dValue", "dLocations", "dWeights", "levels", "zeros"] as const),
  ...(["sink", "queries", "heads", "points", "depthBytes", "length", "tokenBytes"] as const),
] as const;

/** Units are (image, head): each owns its part of dValue and walks queries and points in order. */
const kernel = (method: Method) =>
  namedKernel(`deformableSampleGrad/${method}`, NAMES, (f, arg) => {
    const taps = makeTaps(f, method);
    const count = taps.offsets.length;
    const [unit, head, query, point, image, slice] = f.locals("i32", 6);
    const [dSlice, dy, level, location, at, wide] = f.locals("i32", 6);
    const [index, sink, tokens] = f.locals("i32", 3);
    const addresses = f.locals("i32", count);
    const targets = f.locals("i32", count);
    const shares = f.locals("v128", count);
    const dots = Array.from({ length: count }, () => f.locals("v128", VECTORS));
    const scalars = f.locals("f32", count);
    const [values, gs, sums] = [f.locals("v128", VECTORS), f.locals("v128", VECTORS), f.locals("v128", VECTORS)];
    const here = f.local("i32");
    const [weight, gradient, one, rest] = f.locals("f32", 4);

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
      f.own().set(here);
      for (const [i, dot] of dots.entries()) storeRow(f, dot, here, i * STEP);
      for (let i = 0; i < count; i++) {
        const [sum] = sums;
        f.get(here).memory("v128.load", i * STEP);
        f.get(here)
          .memory("v128.load", i * STEP + 16)
          .op("f32x4.add")
          .set(sum);
        f.get(sum, sum, sum).shuffle(2, 3, 0, 1).op("f32x4.add").set(sum);
        f.get(sum).lane("f32x4.extract_lane", 0).get(sum).lane("f32x4.extract_lane", 1).op("f32.add").set(scalars[i]!);
      }
      f.for(at, { from: wide, to: arg.depthBytes, step: 4 }, () => {
        f.get(dy, at).op("i32.add").memory("f32.load").set(gradient);
        for (let i = 0; i < count; i++) {
          f.get(addresses[i]!, at).op("i32.add").memory("f32.load").get(gradient).madd(scalars[i]!);
          f.get(targets[i]!, at).op("i32.add").memory("f32.load").set(one);
          f.get(gradient, shares[i]!).lane("f32x4.extract_lane", 0).madd(one);
          f.get(targets[i]!, at).op("i32.add").get(one).memory("f32.store");
        }
      });
    };
    /** Pushes weight · size · ((d1 − d0) · near + (d3 − d2) · far) for the taps' dots d. */
    const slope = (side: 0 | 1, [a, b, c, d]: readonly [number, number, number, number]): void => {
      const other = side === 0 ? 1 : 0;
      f.get(scalars[b]!, scalars[a]!).op("f32.sub").get(taps.left[other]).op("f32.mul");
      f.get(scalars[d]!, scalars[c]!).op("f32.sub").get(taps.along[other]).op("f32.mul", "f32.add");
      f.get(taps.size[side], weight).op("f32.mul", "f32.mul");
    };
    const visit = (): void => {
      f.get(arg.locations, index).i32(3).op("i32.shl", "i32.add").set(location);
      f.get(arg.weights, index).i32(2).op("i32.shl", "i32.add").memory("f32.load").set(weight);
      locate(f, taps, { level, location, tokenBytes: arg.tokenBytes });
      for (let i = 0; i < count; i++) {
        const [offset, inside] = [taps.offsets[i]!, taps.insides[i]!];
        f.get(slice, offset).op("i32.add").get(arg.zeros, inside).select().set(addresses[i]!);
        f.get(dSlice, offset).op("i32.add").get(sink, inside).select().set(targets[i]!);
        f.get(weight, taps.shares[i]!).op("f32.mul", "f32x4.splat").set(shares[i]!);
        for (const dot of dots[i]!) f.f32x4(0).set(dot);
      }
      sweep();
      f.f32(0).set(rest);
      for (let i = 0; i < count; i++)
        f.get(taps.shares[i]!, scalars[i]!).op("f32.mul").get(rest).op("f32.add").set(rest);
      f.get(arg.dWeights, index).i32(2).op("i32.shl", "i32.add").get(rest).memory("f32.store");
      f.get(arg.dLocations, index).i32(3).op("i32.shl", "i32.add").set(location);
      f.get(location);
      if (method === "bilinear") slope(0, [0, 1, 2, 3]);
      else f.f32(0);
      f.memory("f32.store").get(location);
      if (method === "bilinear") slope(1, [0, 2, 1, 3]);
      else f.f32(0);
      f.memory("f32.store", 4);
    };

    f.get(arg.depthBytes).i32(-STEP).op("i32.and").set(wide);
    f.get(arg.sink, arg.depthBytes).thread().op("i32.mul", "i32.add").set(sink);
    f.for(unit, { from: f.begin, to: f.end }, () => {
      divide(f, [unit, arg.heads], { quotient: image, remainder: head });
      f.get(image, arg.length).op("i32.mul").get(arg.tokenBytes).op("i32.mul").get(head, arg.depthBytes).op("i32.mul");
      f.op("i32.add").tee(at).get(arg.value).op("i32.add").set(slice);
      f.get(arg.dValue, at).op("i32.add").tee(dSlice).set(tokens);
      f.for(point, { from: 0, to: arg.length }, () => {
        f.for(at, { from: 0, to: arg.depthBytes, step: 4 }, () =>
          f.get(tokens, at).op("i32.add").f32(0).memory("f32.store"),
        );
        f.get(tokens, arg.tokenBytes).op("i32.add").set(tokens);
      });
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
    });
  });

const KERNELS = { bilinear: kernel("bilinear"), discrete: kernel("discrete") };

export const deformableSampleGradOverride = (runtime: CpuRuntime): Override<DeformableSampleAttrs> => ({
  select: (_, { method }) => method,
  run({ inputs, outputs, attrs: { method, levels } }) {
    const sizes = sampleSizes(inputs[1]!, inputs[2]!);
    const { images, heads, depth, tokenBytes } = sizes;
    const [dy, value, locations, weights, dValue, dLocations, dWeights] = [...inputs, ...outputs].map((view) =>
      runtime.pointer(view),
    ) as [number, number, number, number, number, number, number];
    // Taps outside a level read zeros, and what they would add goes into a sink of each thread.
    const tables = [new Int32Array(depth), new Int32Array(depth * runtime.threads), levelTable(levels, tokenBytes)];
    runtime.withTables(tables, ([zeros, sink, table]) =>
      launchNamed(runtime, KERNELS[method], {
        words: {
          ...sizes,
          ...{ dy, value, locations, weights, dValue, dLocations, dWeights },
          levels: table!,
          zeros: zeros!,
          sink: sink!,
        },
        units: images * heads,
        grain: 1,
      }),
    );
  },
});
