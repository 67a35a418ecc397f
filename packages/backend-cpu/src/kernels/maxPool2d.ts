import type { MaxPool2dAttrs } from "@dfine/tensor";
import type { Override } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import type { Local } from "../wasm/assembler.ts";
import { argWords, namedKernel } from "./args.ts";

const NAMES = [
  ...(["from", "values", "indices", "height", "width", "outHeight", "outWidth"] as const),
  ...(["kernelY", "kernelX", "strideY", "strideX", "padY", "padX"] as const),
] as const;

/** Units are planes. Windows are walked row by row, so that the first largest element wins; NaN counts as largest. */
const KERNEL = namedKernel("maxPool2d", NAMES, (f, arg) => {
  const [plane, oy, ox, from, place, last] = f.locals("i32", 6);
  const [y0, y1, x0, x1, y, x] = f.locals("i32", 6);
  const [at, bestAt] = f.locals("i32", 2);
  const [value, best] = [f.local("f32"), f.local("f32")];
  const [values, bests, ats, bestAts, isBetter] = f.locals("v128", 5);

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
  /** Four windows side by side, all inside the plane's columns. */
  const four = (): void => {
    f.get(ox, arg.padX).op("i32.sub").tee(x0).get(arg.kernelX).op("i32.add").set(x1);
    f.get(y0, arg.width).op("i32.mul").get(x0).op("i32.add", "i32x4.splat").i32x4(0, 1, 2, 3).op("i32x4.add");
    f.set(bestAts).f32x4(Number.NEGATIVE_INFINITY).set(bests);
    window(() => {
      elementOf(from, at).memory("v128.load").tee(values).get(bests).op("f32x4.gt");
      f.get(values, values).op("f32x4.ne").get(bests, bests).op("f32x4.eq", "v128.and", "v128.or").set(isBetter);
      f.get(at).op("i32x4.splat").i32x4(0, 1, 2, 3).op("i32x4.add").set(ats);
      f.get(values, bests, isBetter).op("v128.bitselect").set(bests);
      f.get(ats, bestAts, isBetter).op("v128.bitselect").set(bestAts);
    });
    elementOf(arg.values, place).get(bests).memory("v128.store");
    elementOf(arg.indices, place).get(bestAts).memory("v128.store");
  };

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
          // First element read, and one past the last, of four windows.
          f.get(ox, arg.padX).op("i32.ge_s").get(arg.strideX).i32(1).op("i32.eq", "i32.and");
          f.get(ox).i32(3).op("i32.add").tee(last).get(arg.outWidth).op("i32.lt_s", "i32.and");
          f.get(last, arg.padX).op("i32.sub").get(arg.kernelX).op("i32.add").get(arg.width).op("i32.le_s", "i32.and");
          f.if(
            () => {
              four();
              f.get(ox).i32(4).op("i32.add").set(ox);
              f.get(place).i32(4).op("i32.add").set(place);
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

export const maxPool2dOverride = (runtime: CpuRuntime): Override<MaxPool2dAttrs> => ({
  select: () => "direct",
  run({ inputs: [x], outputs: [values, indices], attrs: { kernelSize, stride, padding } }) {
    const [images, channels, height, width] = x!.shape as [number, number, number, number];
    const [, , outHeight, outWidth] = values!.shape as [number, number, number, number];
    runtime.launch(KERNEL, {
      args: argWords(NAMES, {
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
      }),
      units: images * channels,
      grain: Math.max(1, Math.floor(32768 / (outHeight * outWidth * kernelSize[0] * kernelSize[1]))),
    });
  },
});
