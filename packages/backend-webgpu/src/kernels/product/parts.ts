import { type Epilogue, memo } from "@dfine/tensor/kernel";
import { dispatchElements, elementKernel } from "../elements.ts";
import { epilogueBindings, epilogueViews, printEpilogue } from "../epilogue.ts";
import type { GpuRuntime } from "../runtime.ts";
import type { BufferView } from "../wgslKernel.ts";

function makeKernel(epilogue: Epilogue) {
  const { code, finish } = printEpilogue(epilogue, 1);
  return elementKernel({
    name: `foldParts${epilogue.name}`,
    bindings: { partials: "read f32", to: "write f32", ...epilogueBindings(epilogue) },
    body: `
${code}
fn element(i: i32) {
  var sum = partials[u.o_partials + i];
  for (var part = 1; part < u.parts; part++) { sum += partials[u.o_partials + part * u.length + i]; }
  ${finish("(i / u.plane) % u.channels", [{ sum: "sum", column: "i % u.plane", element: () => "i" }])}
  to[u.o_to + i] = sum;
}`,
  });
}
const kernels = new Map<string, ReturnType<typeof makeKernel>>();

export interface Parts {
  readonly to: BufferView;
  /** Elements of `to`, and of each part of it. */
  readonly length: number;
  readonly parts: number;
  /** Done to the sums of several parts, [..., channels, `plane` elements]. */
  readonly epilogue?: Epilogue | undefined;
  readonly plane?: number;
}

/** to[i] = Σ partials[part, i], in the order of the parts, from what `write` puts into `partials`; a single part is `to` itself. Without an
 * epilogue it is put off until somebody sees it. */
export function inParts(
  runtime: GpuRuntime,
  { to, length, parts, epilogue, plane = 1 }: Parts,
  write: (partials: BufferView) => void,
): void {
  if (parts === 1) {
    write(to);
    return;
  }
  runtime.withScratch(parts * length, "f32", (partials) => {
    write(partials);
    if (!epilogue) {
      runtime.addUp({ partials, to, length, parts });
      return;
    }
    dispatchElements(
      runtime,
      memo(kernels, epilogue.name, () => makeKernel(epilogue)),
      {
        views: { partials, to, ...epilogueViews(epilogue) },
        uniforms: { length, parts, plane, channels: epilogue.channels },
        count: length,
        visits: parts,
      },
    );
  });
}
