import type { View } from "@dfine/tensor";
import type { GpuRuntime } from "../../runtime.ts";
import { dispatchElements, elementKernel } from "../elements.ts";

const KERNEL = elementKernel({
  name: "foldParts",
  bindings: { partials: "read f32", to: "write f32" },
  uniforms: { length: "i32", parts: "i32" },
  body: `
fn element(i: i32) {
  var sum = partials[u.o_partials + i];
  for (var part = 1; part < u.parts; part++) { sum += partials[u.o_partials + part * u.length + i]; }
  to[u.o_to + i] = sum;
}`,
});

type Place = Pick<View, "buffer" | "offset">;

/** to[i] = Σ partials[part, i], in the order of the parts. */
export function foldParts(
  runtime: GpuRuntime,
  { partials, to, length, parts }: { partials: Place; to: Place; length: number; parts: number },
): void {
  dispatchElements(runtime, KERNEL, {
    views: { partials, to },
    uniforms: { length, parts },
    count: length,
    visits: parts,
  });
}
