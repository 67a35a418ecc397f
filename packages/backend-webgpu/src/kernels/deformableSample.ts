import type { DeformableSampleAttrs } from "@dfine/tensor";
import { memo, type Override, type View } from "@dfine/tensor/kernel";
import { levelUniforms, levelValues, type Method, perTap, TAPS, tapsText } from "./deformableTaps.ts";
import { dispatchElements, elementKernel } from "./elements.ts";
import type { GpuRuntime } from "./runtime.ts";
import { isVec4 } from "./wgslKernel.ts";

/** A thread per image, query, head and value (or four) of the depth sums up all points. */
const kernel = (method: Method, { levels, type }: { levels: number; type: "f32" | "vec4f" }) =>
  elementKernel({
    name: `deformableSample.${method} ${type}, ${levels} levels`,
    bindings: { value: `read ${type}`, locations: "read f32", weights: "read f32", y: `write ${type}` },
    uniforms: {
      ...levelUniforms(levels),
      ...({ queries: "i32", heads: "i32", points: "i32", depth: "i32", tokens: "i32" } as const),
    },
    body: `
${tapsText(method, levels)}
fn element(i: i32) {
  let unit = i / u.depth;
  let query = unit / u.heads;
  let token_size = u.heads * u.depth;
  let base = u.o_value + (query / u.queries) * u.tokens * token_size + i - query * token_size;
  let first = unit * u.points;
  var sum = ${type}(0.0);
  var at = first;
  for (var n = 0; n < ${levels}; n++) {
    let level = level_at(n);
    for (; at < first + level.end; at++) {
      let point = locate(vec2f(locations[u.o_locations + 2 * at], locations[u.o_locations + 2 * at + 1]), level);
      var read = ${type}(0.0);
${perTap(
  method,
  (tap) => `
      let token_${tap} = tap_token(point, ${tap}, level);
      let value_${tap} = value[base + max(token_${tap}, 0) * token_size];
      read += tap_share(point, ${tap}) * select(${type}(0.0), value_${tap}, token_${tap} >= 0);`,
)}
      sum += weights[u.o_weights + at] * read;
    }
  }
  y[u.o_y + i] = sum;
}`,
  });

const kernels = new Map<string, ReturnType<typeof kernel>>();

/** Whether each head's values can be read in fours. */
export const depthType = (depth: number, views: readonly (View | undefined)[]): "f32" | "vec4f" =>
  depth % 4 === 0 && views.every((view) => isVec4(view!)) ? "vec4f" : "f32";

export const deformableSampleOverride = (runtime: GpuRuntime): Override<DeformableSampleAttrs> => ({
  select: (_, { method }) => method,
  run({ inputs: [value, locations, weights], outputs: [y], attrs: { method, levels } }) {
    const [, tokens, heads, depth] = value!.shape as [number, number, number, number];
    const [images, queries, , points] = locations!.shape as [number, number, number, number];
    const type = depthType(depth, [value, y]);
    const lanes = type === "vec4f" ? depth / 4 : depth;
    const made = memo(kernels, `${method} ${type} ${levels.length}`, () =>
      kernel(method, { levels: levels.length, type }),
    );
    dispatchElements(runtime, made, {
      views: { value: value!, locations: locations!, weights: weights!, y: y! },
      uniforms: { ...levelValues(levels, method).values, queries, heads, points, depth: lanes, tokens },
      count: images * queries * heads * lanes,
      visits: points * TAPS[method] * (type === "vec4f" ? 4 : 1),
    });
  },
});
