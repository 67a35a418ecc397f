import type { DeformableSampleAttrs } from "@dfine/tensor";
import { memo, type Override, shape4, type View } from "@dfine/tensor/kernel";
import { levelUniforms, type Method, TAPS, tapsText } from "./deformableTaps.ts";
import { dispatchElements, elementKernel } from "./elements.ts";
import { withGroups } from "./groups.ts";
import type { GpuRuntime } from "./runtime.ts";
import { each, range } from "./text.ts";
import { isVec4 } from "./wgslKernel.ts";

/** What a kernel's text depends on. */
interface Text {
  readonly method: Method;
  readonly levels: number;
  /** Whether each head's values are read one by one or in fours. */
  readonly type: "f32" | "vec4f";
}

const nameOf = (part: string, { method, type, levels }: Text): string => `${part}${method} ${type}, ${levels} levels`;

/** A thread per image, query, head and value (or four) of the depth sums up all points. */
const sampleKernel = (text: Text) => {
  const { method, levels, type } = text;
  const taps = range(TAPS[method]);
  return elementKernel({
    name: nameOf("deformableSample.", text),
    bindings: { value: `read ${type}`, locations: "read f32", weights: "read f32", y: `write ${type}` },
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
${each(
  taps,
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
};

const product = ({ type }: Text, a: string, b: string): string =>
  type === "vec4f" ? `dot(${a}, ${b})` : `${a} * ${b}`;

/** Weight · size · ((d1 − d0) · near + (d3 − d2) · far) of the taps' dots d, along x and along y. */
const SLOPES = `
  let left = 1.0 - point.along;
  let slope = vec2f(
    (dot_1 - dot_0) * left.y + (dot_3 - dot_2) * point.along.y,
    (dot_2 - dot_0) * left.x + (dot_3 - dot_1) * point.along.x,
  ) * vec2f(f32(level.width), f32(level.height)) * weight;`;

/** A thread per point: the gradients of its weight and location, the shares of its taps, and the cell it lies in. */
const pointsKernel = (text: Text) => {
  const { method, levels, type } = text;
  const taps = range(TAPS[method]);
  return elementKernel({
    name: nameOf("deformableSampleGrad.points ", text),
    bindings: {
      ...({ dy: `read ${type}`, value: `read ${type}`, locations: "read f32", weights: "read f32" } as const),
      ...({ dLocations: "write f32", dWeights: "write f32", shares: "write f32", cells: "write i32" } as const),
    },
    body: `
${tapsText(method, levels)}
fn element(i: i32) {
  let unit = i / u.points;
  let query = unit / u.heads;
  let head = unit - query * u.heads;
  let image = query / u.queries;
  let level = level_of_point(i - unit * u.points);
  let point = locate(vec2f(locations[u.o_locations + 2 * i], locations[u.o_locations + 2 * i + 1]), level);
  let weight = weights[u.o_weights + i];
  let token_size = u.heads * u.depth;
  let base = u.o_value + image * u.tokens * token_size + head * u.depth;
${each(
  taps,
  (tap) => `
  let token_${tap} = tap_token(point, ${tap}, level);
  let value_${tap} = base + max(token_${tap}, 0) * token_size;
  var sum_${tap} = 0.0;`,
)}
  let depth = u.depth;
  let start = u.o_dy + unit * depth;
  for (var d = 0; d < depth; d++) {
    let gradient = dy[start + d];
${each(taps, (tap) => `    sum_${tap} += ${product(text, `value[value_${tap} + d]`, "gradient")};`)}
  }
  var total = 0.0;
${each(
  taps,
  (tap) => `
  let dot_${tap} = select(0.0, sum_${tap}, token_${tap} >= 0);
  total += tap_share(point, ${tap}) * dot_${tap};
  shares[u.o_shares + i * ${taps.length} + ${tap}] = weight * tap_share(point, ${tap});`,
)}
  ${method === "bilinear" ? SLOPES : "let slope = vec2f(0.0);"}
  dWeights[u.o_dWeights + i] = total;
  dLocations[u.o_dLocations + 2 * i] = slope.x;
  dLocations[u.o_dLocations + 2 * i + 1] = slope.y;
  let cell = cell_of(point.pixel, level);
  cells[u.o_cells + i] = select((image * u.heads + head) * u.cellCount + cell, -1, cell < 0);
}`,
  });
};

/** A thread per token, head and value (or four) of the depth sums up the points around it, cell by cell. */
const valueKernel = (text: Text) =>
  elementKernel({
    name: nameOf("deformableSampleGrad.value ", text),
    bindings: {
      ...({ dy: `read ${text.type}`, shares: "read f32", dValue: `write ${text.type}` } as const),
      ...({ starts: "read i32", ends: "read i32", order: "read i32" } as const),
    },
    body: `
${tapsText(text.method, text.levels)}
fn element(i: i32) {
  let row = i / u.depth;
  let d = i - row * u.depth;
  let place = row / u.heads;
  let head = row - place * u.heads;
  let image = place / u.tokens;
  let token = place - image * u.tokens;
  let level = level_of_token(token);
  let y = (token - level.start) / level.width;
  let pixel = vec2(token - level.start - y * level.width, y);
  let first = (image * u.heads + head) * u.cellCount;
  var sum = ${text.type}(0.0);
  for (var tap = 0; tap < ${TAPS[text.method]}; tap++) {
    let cell = first + cell_of(pixel - vec2(tap & 1, tap >> 1u), level);
    let end = ends[u.o_ends + cell];
    for (var at = starts[u.o_starts + cell]; at < end; at++) {
      let point = order[u.o_order + at];
      sum += shares[u.o_shares + point * ${TAPS[text.method]} + tap] * dy[u.o_dy + point / u.points * u.depth + d];
    }
  }
  dValue[u.o_dValue + i] = sum;
}`,
  });

const makeKernels = (text: Text) => ({
  sample: sampleKernel(text),
  points: pointsKernel(text),
  value: valueKernel(text),
});
const kernels = new Map<string, ReturnType<typeof makeKernels>>();

/** What both directions run with; `vectors` are the views whose rows are a head's values. */
function problemOf(
  { method, levels }: DeformableSampleAttrs,
  { value, locations, vectors }: { value: View; locations: View; vectors: readonly View[] },
) {
  const [, tokens, heads, values] = shape4(value);
  const [images, queries, , points] = shape4(locations);
  const width = values % 4 === 0 && vectors.every(isVec4) ? 4 : 1;
  const depth = values / width;
  const text: Text = { method, levels: levels.length, type: width === 4 ? "vec4f" : "f32" };
  const { values: levelSizes, cells: cellCount } = levelUniforms(levels, method);
  return {
    ...memo(kernels, nameOf("", text), () => makeKernels(text)),
    uniforms: { ...levelSizes, queries, heads, points, depth, tokens, cellCount },
    ...{ images, width, taps: TAPS[method] },
  };
}

export const deformableSampleOverride = (runtime: GpuRuntime): Override<DeformableSampleAttrs> => ({
  select: (_, { method }) => method,
  run({ inputs, outputs: [y], attrs }) {
    const [value, locations, weights] = inputs as [View, View, View];
    const { sample, uniforms, images, width, taps } = problemOf(attrs, { value, locations, vectors: [value, y!] });
    dispatchElements(runtime, sample, {
      views: { value, locations, weights, y: y! },
      uniforms,
      count: images * uniforms.queries * uniforms.heads * uniforms.depth,
      visits: uniforms.points * taps * width,
    });
  },
});

export const deformableSampleGradOverride = (runtime: GpuRuntime): Override<DeformableSampleAttrs> => ({
  select: (_, { method }) => method,
  run({ inputs, outputs, attrs }) {
    const [dy, value, locations, weights] = inputs as [View, View, View, View];
    const [dValue, dLocations, dWeights] = outputs as [View, View, View];
    const problem = problemOf(attrs, { value, locations, vectors: [dy, value, dValue] });
    const { uniforms, images, width, taps } = problem;
    const { queries, heads, points, depth, tokens, cellCount } = uniforms;
    const count = images * queries * heads * points;
    const groups = images * heads * cellCount;
    runtime.withScratch(count * taps, "f32", (shares) =>
      runtime.withScratch(count, "i32", (cells) => {
        dispatchElements(runtime, problem.points, {
          views: { dy, value, locations, weights, dLocations, dWeights, shares, cells },
          uniforms,
          count,
          visits: taps * depth * width,
        });
        withGroups(runtime, { keys: cells, count, groups }, (found) =>
          dispatchElements(runtime, problem.value, {
            views: { dy, shares, dValue, ...found },
            uniforms,
            count: images * tokens * heads * depth,
            visits: width * taps * (1 + Math.ceil(count / groups)),
          }),
        );
      }),
    );
  },
});
