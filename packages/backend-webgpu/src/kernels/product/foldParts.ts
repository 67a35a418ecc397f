import { sizeOf } from "@dfine/tensor";
import { memo, type View } from "@dfine/tensor/kernel";
import { dispatchElements, elementKernel } from "../elements.ts";
import { type Epilogue, epilogueBindings, epilogueName, printEpilogue } from "../epilogue.ts";
import type { GpuRuntime } from "../runtime.ts";

function makeKernel(epilogue: Epilogue | undefined) {
  const { code, finish } = printEpilogue(epilogue, 1);
  return elementKernel({
    name: `foldParts${epilogueName(epilogue)}`,
    bindings: { partials: "read f32", to: "write f32", ...epilogueBindings(epilogue) },
    uniforms: { length: "i32", parts: "i32", plane: "i32", channels: "i32" },
    body: `
${code}
fn element(i: i32) {
  var sum = partials[u.o_partials + i];
  for (var part = 1; part < u.parts; part++) { sum += partials[u.o_partials + part * u.length + i]; }
  ${finish("(i / u.plane) % u.channels", ["sum"])}
  to[u.o_to + i] = sum;
}`,
  });
}
const kernels = new Map<string, ReturnType<typeof makeKernel>>();

type Place = Pick<View, "buffer" | "offset">;

export interface Fold {
  readonly partials: Place;
  readonly to: Place;
  readonly length: number;
  readonly parts: number;
  /** Done to the sums, [..., channels, `plane` elements]. */
  readonly epilogue?: Epilogue | undefined;
  readonly plane?: number;
}

/** to[i] = Σ partials[part, i], in the order of the parts. */
export function foldParts(runtime: GpuRuntime, fold: Fold): void {
  const { partials, to, length, parts, epilogue, plane = 1 } = fold;
  const bias = epilogue?.views.bias;
  const kernel = memo(kernels, epilogueName(epilogue), () => makeKernel(epilogue));
  dispatchElements(runtime, kernel, {
    views: { partials, to, ...epilogue?.views },
    uniforms: { length, parts, plane, channels: bias ? sizeOf(bias.shape) : 1 },
    count: length,
    visits: parts,
  });
}
