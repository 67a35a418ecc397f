import { gradients } from "../autograd/gradient.ts";
import { ShapeError } from "../errors.ts";
import { list, needed, oneOf, options, thing, whole } from "../options.ts";
import { shapeText } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { clamp, floor, less, logicalAnd, logicalNot, toFloat, toInt } from "./arithmetic.ts";
import type { DeformableLevel, DeformableSampleAttrs } from "./attrs.ts";
import { type OpCase, shapesOf } from "./cases.ts";
import { arange, ones, tensor } from "./create.ts";
import { defineCall } from "./defineCall.ts";
import { defineOp } from "./defineOp.ts";
import { indexSelect } from "./indexing.ts";
import type { Takes } from "./inputs.ts";

type Attrs = DeformableSampleAttrs;

const INPUTS = ["value [B, L, heads, d]", "locations [B, Q, heads, P, 2]", "weights [B, Q, heads, P]"];

function inferSample([value, locations]: readonly Tensor[], { levels }: Attrs) {
  const [batch, length, heads, depth] = value!.shape as [number, number, number, number];
  const [, queries, , points] = locations!.shape as [number, number, number, number];
  const tokens = levels.reduce((sum, level) => sum + level.height * level.width, 0);
  const sampled = levels.reduce((sum, level) => sum + level.points, 0);
  if (length !== tokens || points !== sampled)
    throw new ShapeError(
      `deformableSample: the levels have ${tokens} positions and take ${sampled} points; value ${shapeText(value!.shape)} has ${length} positions, locations ${shapeText(locations!.shape)} give ${points} points`,
    );
  return { batch, length, heads, depth, queries, points };
}

const LEVEL = options<DeformableLevel>({
  height: needed(whole(1)),
  width: needed(whole(1)),
  points: needed(whole(0)),
});
const ATTRS = options<Attrs>({ method: needed(oneOf(["bilinear", "discrete"])), levels: needed(list(LEVEL)) });

/** Sizes and start of each point's level, as [P] tensors. */
function levelTensors(levels: readonly DeformableLevel[], { backend }: Tensor) {
  let end = 0;
  const placed = levels.flatMap(({ height, width, points }) => {
    const start = end;
    end += height * width;
    return new Array<{ height: number; width: number; start: number }>(points).fill({ height, width, start });
  });
  const each = (key: "width" | "height" | "start"): Tensor => {
    const values = Int32Array.from(placed, (level) => level[key]);
    return tensor(values, [placed.length], { backend });
  };
  return { width: each("width"), height: each("height"), start: each("start") };
}

/** One reading of the maps: whole-number positions and what each contributes, [B, Q, heads, P]. */
interface Tap {
  readonly x: Tensor;
  readonly y: Tensor;
  readonly weight: Tensor;
}

function bilinearTaps(px: Tensor, py: Tensor, size: { width: Tensor; height: Tensor }): Tap[] {
  const [x0, y0] = [floor(px), floor(py)];
  const [fx, fy] = [px.sub(x0), py.sub(y0)];
  const within = (v: Tensor, limit: Tensor): Tensor => logicalAnd(logicalNot(less(v, 0)), less(v, limit));
  const taps: Tap[] = [];
  for (const dy of [0, 1]) {
    for (const dx of [0, 1]) {
      // Far away positions are brought near first, so that they stay whole numbers in i32.
      const x = toInt(clamp(x0.add(dx), -2, 1e6));
      const y = toInt(clamp(y0.add(dy), -2, 1e6));
      const inside = toFloat(logicalAnd(within(x, size.width), within(y, size.height)));
      const share = (dx ? fx : fx.neg().add(1)).mul(dy ? fy : fy.neg().add(1));
      taps.push({ x, y, weight: share.mul(inside) });
    }
  }
  return taps;
}

function composite(inputs: readonly Tensor[], attrs: Attrs): Tensor {
  const [value, locations, weights] = inputs as [Tensor, Tensor, Tensor];
  const { batch, length, heads, depth, queries, points } = inferSample(inputs, attrs);
  const level = levelTensors(attrs.levels, value);
  const [width, height] = [toFloat(level.width), toFloat(level.height)];
  const axis = (i: number): Tensor => locations.slice([null, null, null, null, { start: i, end: i + 1 }]).squeeze(-1);
  const taps: Tap[] =
    attrs.method === "bilinear"
      ? bilinearTaps(axis(0).mul(width).sub(0.5), axis(1).mul(height).sub(0.5), level)
      : [{ x: toInt(axis(0).mul(width).add(0.5)), y: toInt(axis(1).mul(height).add(0.5)), weight: weights }];
  const backend = { backend: value.backend };
  const image = arange(batch, { step: length, ...backend }).reshape([batch, 1, 1, 1]);
  const head = arange(heads, backend).reshape([1, 1, heads, 1]);
  const rows = value.reshape([batch * length * heads, depth]);
  const sums = taps.map((tap) => {
    const x = clamp(tap.x, 0, level.width.sub(1));
    const y = clamp(tap.y, 0, level.height.sub(1));
    const index = y.mul(level.width).add(x).add(level.start).add(image).mul(heads).add(head);
    const sampled = indexSelect(rows, index.reshape([-1])).reshape([batch, queries, heads, points, depth]);
    const weight = attrs.method === "bilinear" ? tap.weight.mul(weights) : tap.weight;
    return sampled.mul(weight.unsqueeze(-1)).sum(3);
  });
  return sums.reduce((a, b) => a.add(b)).reshape([batch, queries, heads * depth]);
}

const sampleOp = defineOp("deformableSample", {
  takes: INPUTS,
  infer: (inputs, attrs) => {
    const { batch, queries, heads, depth } = inferSample(inputs, attrs);
    return [{ shape: [batch, queries, heads * depth], dtype: "f32" }];
  },
  fallback: (inputs, attrs) => [composite(inputs, attrs)],
  saves: { inputs: [0, 1, 2] },
  vjp: ({ inputs, attrs, grads: [dy], needs }) =>
    sampleGradOp([dy!, ...(inputs as Tensor[])], attrs).map((gradient, i) => (needs[i] ? gradient : undefined)),
  cases: (op) => sampleCases(op, true),
});

const sampleGradOp = defineOp("deformableSampleGrad", {
  takes: ["dy [B, Q, heads·d]", ...INPUTS],
  infer: ([, ...inputs]) => inputs.map((input) => ({ shape: input.shape, dtype: "f32" as const })),
  fallback: ([dy, ...inputs], attrs) => gradients((leaves) => composite(leaves, attrs), { inputs, dy: dy! }),
  cases: (op) =>
    sampleCases((inputs, attrs) => {
      const [value, locations] = inputs as [Tensor, Tensor];
      const dy = value
        .slice([null, { start: 0, end: 1 }])
        .expand([value.shape[0]!, locations.shape[1]!, ...value.shape.slice(2)]);
      return op([dy.reshape([dy.shape[0]!, dy.shape[1]!, -1]), ...inputs], attrs);
    }, false),
});

/** A feature pyramid: height, width and points of each level. */
const levelsOf = (text: string): DeformableLevel[] =>
  shapesOf(text).map(([height, width, points]) => ({ height: height!, width: width!, points: points! }));

function sampleCases(run: (inputs: Tensor[], attrs: Attrs) => readonly Tensor[], differentiable: boolean): OpCase[] {
  const [square, oblong] = [levelsOf("4x4x2 2x2x3"), levelsOf("3x5x6 2x3x6")];
  return (["bilinear", "discrete"] as const).flatMap((method) =>
    [square, oblong].map((levels): OpCase => {
      const length = levels.reduce((n, l) => n + l.height * l.width, 0);
      const points = levels.reduce((n, l) => n + l.points, 0);
      const [heads, depth, queries] = levels === oblong ? [2, 16, 7] : [3, 5, 4];
      return {
        name: `${method} ${JSON.stringify(levels.map((l) => [l.height, l.width, l.points]))}`,
        inputs: [
          { shape: [2, length, heads, depth] },
          { shape: [2, queries, heads, points, 2], range: [-0.3, 1.3] },
          { shape: [2, queries, heads, points] },
        ],
        run: (...inputs) => run(inputs, { method, levels }),
        differentiable,
      };
    }),
  );
}

/**
 * Weighted samples of multi-level maps: value [B, L, heads, d], locations [B, Q, heads, P, 2] (x, y, 0–1 on each level),
 * weights [B, Q, heads, P] → [B, Q, heads·d]. Bilinear with zeros outside and pixel centres at ½, or the nearest pixel
 * (discrete; no gradient to the locations). docs/specification.md §4. @throws ShapeError
 */
export const deformableSample = defineCall(
  "deformableSample",
  { inputs: options({ value: needed(thing), locations: needed(thing), weights: needed(thing) }), attrs: ATTRS },
  ({ value, locations, weights }: { value: Tensor; locations: Tensor; weights: Tensor }, attrs: Attrs): Tensor =>
    sampleOp([value, locations, weights], attrs)[0]!,
);

const GRID_SAMPLE: Takes = ["x [B, C, H, W]", "grid [B, Ho, Wo, 2]"];

/** Samples x [B, C, H, W] at grid [B, Ho, Wo, 2] (x, y in −1…1) bilinearly, zeros outside, `align_corners` false → [B, C, Ho, Wo]. */
export const gridSample = defineCall("gridSample", GRID_SAMPLE, (x: Tensor, grid: Tensor): Tensor => {
  const [b, c, height, width] = x.shape as [number, number, number, number];
  const [, ho, wo] = grid.shape as [number, number, number, number];
  const value = x.permute([0, 2, 3, 1]).reshape([b, height * width, 1, c]);
  const locations = grid
    .add(1)
    .mul(0.5)
    .reshape([b, ho * wo, 1, 1, 2]);
  const weights = ones([b, ho * wo, 1, 1], { backend: x.backend });
  const sampled = deformableSample(
    { value, locations, weights },
    { method: "bilinear", levels: [{ height, width, points: 1 }] },
  );
  return sampled.reshape([b, ho, wo, c]).permute([0, 3, 1, 2]);
});
