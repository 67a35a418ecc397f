import type { MaxPool2dAttrs } from "@dfine/tensor";
import type { Override } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import type { Local } from "../wasm/assembler.ts";
import { loadEven, loadRow, storeRow } from "../wasm/vectors.ts";
import { launchNamed, namedKernel } from "./args.ts";

const NAMES = [
  ...(["from", "values", "indices", "height", "width", "outHeight", "outWidth"] as const),
  ...(["kernelY", "kernelX", "strideY", "strideX", "padY", "padX"] as const),
] as const;

// Tile: eight outputs side by side, in two vectors, which merge where the stride is 1. Comparisons limit, not memory: a 2×2
// window takes 9.5 cycles for each output, 9 % of copying (`tile.ts`).
const VECTORS = 2;
const SIDE = VECTORS * 4;

/**
 * Units are planes. Windows are walked row by row, so that the first largest element wins; NaN counts as largest. Windows are
 * taken side by side where columns have the stride `step`, elsewhere one by one.
 */
const kernelOf = (name: string, step: 1 | 2) =>
  namedKernel(name, NAMES, (f, arg) => {
    const [plane, oy, ox, from, place, full0, full1, back] = f.locals("i32", 8);
    const [y0, y1, x0, x1, y, x] = f.locals("i32", 6);
    const [at, bestAt, row, address] = f.locals("i32", 4);
    const [value, best] = [f.local("f32"), f.local("f32")];
    const [values, bests, bestAts] = [f.locals("v128", VECTORS), f.locals("v128", VECTORS), f.locals("v128", VECTORS)];
    const [ats, isBetter] = f.locals("v128", 2);

    const atMost = (n: Local, limit: Local) => f.get(n, limit, n, limit).op("i32.lt_s").select().set(n);
    const atLeast0 = (n: Local) => f.get(n).i32(0).get(n).i32(0).op("i32.gt_s").select().set(n);
    const elementOf = (base: Local, index: Local) => f.get(base, index).i32(2).op("i32.shl", "i32.add");
    const window = (visit: () => void): void => {
      f.for(y, { from: y0, to: y1 }, () => {
        f.get(y, arg.width).op("i32.mul").get(x0).op("i32.add").set(at);
        f.for(x, { from: x0, to: x1 }, () => {
          visit();
          f.get(at).i32(1).op("i32.add").set(at);
        });
      });
    };
    const single = (): void => {
      f.get(ox, arg.strideX).op("i32.mul").get(arg.padX).op("i32.sub").tee(x0).get(arg.kernelX).op("i32.add").set(x1);
      atMost(x1, arg.width);
      atLeast0(x0);
      f.get(y0, arg.width).op("i32.mul").get(x0).op("i32.add").set(bestAt);
      f.f32(Number.NEGATIVE_INFINITY).set(best);
      window(() => {
        elementOf(from, at).memory("f32.load").tee(value).get(best).op("f32.gt");
        f.get(value, value)
          .op("f32.ne")
          .get(best, best)
          .op("f32.eq", "i32.and", "i32.or")
          .if(() => {
            f.get(value).set(best).get(at).set(bestAt);
          });
      });
      elementOf(arg.values, place).get(best).memory("f32.store");
      elementOf(arg.indices, place).get(bestAt).memory("i32.store");
    };
    /** Windows side by side, all inside the plane's columns. */
    const several = (): void => {
      f.get(y0, arg.width).op("i32.mul").get(ox).i32(step).op("i32.mul").get(arg.padX).op("i32.sub", "i32.add").set(at);
      elementOf(from, at).set(row);
      for (const [j, best] of bests.entries()) f.f32x4(Number.NEGATIVE_INFINITY).set(best).i32x4(0).set(bestAts[j]!);
      f.i32(0).set(bestAt);
      f.for(y, { from: y0, to: y1 }, () => {
        f.get(row).set(address);
        f.for(x, { from: 0, to: arg.kernelX }, () => {
          if (step === 1) loadRow(f, values, address);
          else loadEven(f, values, address);
          f.get(bestAt).op("i32x4.splat").set(ats);
          for (const [j, best] of bests.entries()) {
            // Larger, or the first NaN: what was best is a number, and this is not at most that.
            f.get(best, best).op("f32x4.eq").get(values[j]!, best).op("f32x4.le", "v128.andnot").set(isBetter);
            f.get(values[j]!, best, isBetter).op("v128.bitselect").set(best);
            f.get(ats, bestAts[j]!, isBetter).op("v128.bitselect").set(bestAts[j]!);
          }
          f.get(address).i32(4).op("i32.add").set(address);
          f.get(bestAt).i32(1).op("i32.add").set(bestAt);
        });
        f.get(row, arg.width).i32(2).op("i32.shl", "i32.add").set(row);
        f.get(bestAt, arg.width).op("i32.add").get(arg.kernelX).op("i32.sub").set(bestAt);
      });
      for (const [j, best] of bestAts.entries())
        f.get(best, at)
          .op("i32x4.splat", "i32x4.add")
          .i32x4(step * j * 4, step * (j * 4 + 1), step * (j * 4 + 2), step * (j * 4 + 3))
          .op("i32x4.add")
          .set(best);
      elementOf(arg.values, place).set(address);
      storeRow(f, bests, address);
      elementOf(arg.indices, place).set(address);
      storeRow(f, bestAts, address);
    };

    // Windows that lie inside the columns with all that is loaded: the first, and one past the last.
    const over = step - 1;
    f.get(arg.padX).i32(over).op("i32.add").i32(over).op("i32.shr_s").set(full0);
    f.get(arg.width, arg.padX).op("i32.add").get(arg.kernelX).op("i32.sub").i32(over).op("i32.sub").i32(over);
    f.op("i32.shr_s").i32(1).op("i32.add").set(full1);
    atMost(full1, arg.outWidth);
    f.get(arg.strideX).i32(step).op("i32.eq").get(full1).op("i32.mul").set(full1);
    f.for(plane, { from: f.begin, to: f.end }, () => {
      f.get(plane, arg.height).op("i32.mul").get(arg.width).op("i32.mul").set(at);
      elementOf(arg.from, at).set(from);
      f.get(plane, arg.outHeight).op("i32.mul").get(arg.outWidth).op("i32.mul").set(place);
      f.for(oy, { from: 0, to: arg.outHeight }, () => {
        f.get(oy, arg.strideY).op("i32.mul").get(arg.padY).op("i32.sub").tee(y0).get(arg.kernelY).op("i32.add").set(y1);
        atMost(y1, arg.height);
        atLeast0(y0);
        f.i32(0).set(ox);
        f.block((done) => {
          f.loop((next) => {
            f.get(ox, arg.outWidth).op("i32.ge_s").brIf(done);
            f.get(ox, full0).op("i32.ge_s").get(ox, full1).op("i32.lt_s", "i32.and");
            f.get(full1, full0).op("i32.sub").i32(SIDE).op("i32.ge_s", "i32.and");
            f.if(
              () => {
                // The last ones may come twice.
                f.get(ox).i32(SIDE).op("i32.add").get(full1).op("i32.sub").tee(back).i32(0).op("i32.gt_s");
                f.if(() => f.get(ox, back).op("i32.sub").set(ox).get(place, back).op("i32.sub").set(place));
                several();
                f.get(ox).i32(SIDE).op("i32.add").set(ox);
                f.get(place).i32(SIDE).op("i32.add").set(place);
              },
              () => {
                single();
                f.get(ox).i32(1).op("i32.add").set(ox);
                f.get(place).i32(1).op("i32.add").set(place);
              },
            );
            f.br(next);
          });
        });
      });
    });
  });

const KERNEL = kernelOf("maxPool2d", 1);
const BY_TWO = kernelOf("maxPool2dByTwo", 2);

export const maxPool2dOverride = (runtime: CpuRuntime): Override<MaxPool2dAttrs> => ({
  select: () => "direct",
  run({ inputs: [x], outputs: [values, indices], attrs: { kernelSize, stride, padding } }) {
    const [images, channels, height, width] = x!.shape as [number, number, number, number];
    const [, , outHeight, outWidth] = values!.shape as [number, number, number, number];
    launchNamed(runtime, stride[1] === 2 ? BY_TWO : KERNEL, {
      words: {
        from: runtime.pointer(x!),
        values: runtime.pointer(values!),
        indices: runtime.pointer(indices!),
        height,
        width,
        outHeight,
        outWidth,
        kernelY: kernelSize[0],
        kernelX: kernelSize[1],
        strideY: stride[0],
        strideX: stride[1],
        padY: padding[0],
        padX: padding[1],
      },
      units: images * channels,
      grain: Math.max(1, Math.floor(32768 / (outHeight * outWidth * kernelSize[0] * kernelSize[1]))),
    });
  },
});
