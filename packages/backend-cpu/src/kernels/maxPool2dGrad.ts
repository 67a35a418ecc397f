import type { OpAttrs, Override } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import { launchNamed, namedKernel } from "./args.ts";

// One window after the other, as each adds where its largest element was: 13 % of copying (`tile.ts`) at 160².

/** Units are planes: zeros, then every window adds its gradient to its largest element, in order. */
const KERNEL = namedKernel("maxPool2dGrad", ["dy", "indices", "to", "inSize", "outSize"], (f, arg) => {
  const [plane, to, i, at, last] = f.locals("i32", 5);
  f.for(plane, { from: f.begin, to: f.end }, () => {
    f.get(arg.to, plane, arg.inSize).op("i32.mul").i32(2).op("i32.shl", "i32.add").tee(to);
    f.i32(0).get(arg.inSize).i32(2).op("i32.shl", "memory.fill");
    f.get(plane, arg.outSize).op("i32.mul").tee(i).get(arg.outSize).op("i32.add").set(last);
    f.for(i, { from: i, to: last }, () => {
      f.get(arg.indices, i).i32(2).op("i32.shl", "i32.add").memory("i32.load").tee(at).get(arg.inSize);
      f.op("i32.lt_u").if(() => {
        f.get(to, at).i32(2).op("i32.shl", "i32.add").tee(at).get(at).memory("f32.load");
        f.get(arg.dy, i).i32(2).op("i32.shl", "i32.add").memory("f32.load").op("f32.add").memory("f32.store");
      });
    });
  });
});

export const maxPool2dGradOverride = (runtime: CpuRuntime): Override<OpAttrs["maxPool2dGrad"]> => ({
  select: () => "direct",
  run({ inputs: [dy, indices], outputs: [dx], attrs: { inputSize } }) {
    const [images, channels, height, width] = dy!.shape as [number, number, number, number];
    const [inSize, outSize] = [inputSize[0] * inputSize[1], height * width];
    launchNamed(runtime, KERNEL, {
      words: { dy: dy!, indices: indices!, to: dx!, inSize, outSize },
      units: images * channels,
      grain: Math.max(1, Math.floor(16384 / outSize)),
    });
  },
});
