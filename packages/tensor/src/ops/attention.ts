import { gradients } from "../autograd/gradient.ts";
import { ShapeError } from "../errors.ts";
import { needed, type OptionRules, options, real, thing } from "../options.ts";
import { broadcastShapes, sameShape, shapeText } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { where } from "./arithmetic.ts";
import type { AttentionAttrs } from "./attrs.ts";
import { casesOf, type OpCase } from "./cases.ts";
import { tensor } from "./create.ts";
import { defineCall } from "./defineCall.ts";
import { defineOp } from "./defineOp.ts";
import { defineRow } from "./defineRow.ts";
import { checkInputs, inputRules, type Takes } from "./inputs.ts";
import { matmul } from "./matmul.ts";

const weightsRow = defineRow(
  "attentionWeights",
  (row, scores, bias, scale) => {
    const biased = scores.mul(scale).add(bias);
    const e = biased.sub(row.max(biased)).exp();
    row.store(e.div(row.sum(e)));
  },
  {
    takes: ["scores", "bias", "scale"],
    cases: (op) =>
      casesOf("2x3x5x7 1x1x4x33", (shape) => ({
        inputs: [{ shape }, { shape: shape.slice(2) }],
        run: (scores, bias) => op([scores, bias, 0.25], -1),
      })),
  },
);

const NAME = "scaledDotProductAttention";
const INPUTS = ["query [B, H, L, D]", "key [B, H, S, D]", "value [B, H, S, E]", "mask? [B, H, L, S]"];

const swapped = (x: Tensor): Tensor => x.permute([0, 2, 1, 3]);

/** [B, L, H, E] */
function composition([q, k, v, bias]: readonly Tensor[], { scale }: AttentionAttrs): Tensor {
  const scores = matmul(q!, k!.transpose(-1, -2));
  const weights = weightsRow([scores, bias ?? 0, scale], -1)[0]!;
  scores.dispose();
  return swapped(matmul(weights, v!)).contiguous();
}

const attentionOp = defineOp(NAME, {
  takes: INPUTS,
  strided: true,
  infer: ([q, , v]) => {
    const [batch, heads, queries] = q!.shape as [number, number, number];
    return [{ shape: [batch, queries, heads, v!.shape[3]!], dtype: "f32" }];
  },
  fallback: (inputs, attrs) => [composition(inputs, attrs)],
  recordsFallback: true,
  saves: { inputs: [0, 1, 2, 3] },
  vjp: ({ inputs, attrs, grads: [dy], needs }) => {
    const given = inputs.filter((input) => input !== undefined);
    if (needs[3]) return gradients((leaves) => composition(leaves, attrs), { inputs: given, dy: dy! });
    return attentionGradOp([dy!, ...given], attrs).map((gradient, i) => (needs[i] ? swapped(gradient) : undefined));
  },
  cases: (op) => attentionCases((inputs, attrs) => op(inputs, attrs), true),
});

const attentionGradOp = defineOp("scaledDotProductAttentionGrad", {
  takes: ["dy [B, L, H, E]", ...INPUTS],
  strided: true,
  infer: ([, ...inputs]) =>
    inputs.slice(0, 3).map((input) => {
      const [batch, heads, rows, columns] = input.shape as [number, number, number, number];
      return { shape: [batch, rows, heads, columns], dtype: "f32" as const };
    }),
  fallback: ([dy, ...inputs], attrs) =>
    gradients((leaves) => composition(leaves, attrs), { inputs, dy: dy! })
      .slice(0, 3)
      .map((gradient) => swapped(gradient).contiguous()),
  cases: (op) =>
    attentionCases((inputs, attrs) => {
      const [q, , v] = inputs as [Tensor, Tensor, Tensor];
      const dy = q.slice([null, null, null, { start: 0, end: 1 }]).expand([...q.shape.slice(0, 3), v.shape[3]!]);
      return op([swapped(dy).contiguous(), ...inputs], attrs);
    }, false),
});

/** Sizes B, H, L, S, D, E, and what is added to the scores. */
const CASES: Readonly<Record<string, "nothing" | "bias" | "blocks">> = {
  "2x3x5x7x4x6": "bias",
  "1x2x7x1x3x3": "nothing",
  "1x2x65x33x16x16": "bias",
  "1x2x130x70x4x5": "blocks",
  "2x1x4x40x20x9": "nothing",
  "1x1x2x200x2x3": "nothing",
  "1x1x0x4x3x2": "nothing",
  "1x1x3x0x2x2": "bias",
};

/** Groups of 24 keys that only as many queries each see, before keys that all see: as with denoising queries. */
const blocks = (queries: number, keys: number): Tensor =>
  tensor(
    Array.from({ length: queries * keys }, (_, at) => {
      const [group, own] = [Math.floor((at % keys) / 24), Math.floor(at / keys / 24)];
      return group < 2 && group !== own ? Number.NEGATIVE_INFINITY : 0;
    }),
    [queries, keys],
  );

const attentionCases = (
  run: (inputs: Tensor[], attrs: AttentionAttrs) => readonly Tensor[],
  differentiable: boolean,
): OpCase[] =>
  casesOf(CASES, ([b, h, l, s, d, e], added) => ({
    name: `${[b, h, l, s, d, e]}${added === "nothing" ? "" : ` ${added}`}`,
    inputs: [[b, h, l, d], [b, h, s, d], [b, h, s, e], ...(added === "bias" ? [[b, h, l, s]] : [])].map((shape) => ({
      shape: shape as number[],
    })),
    run: (...inputs) =>
      run(added === "blocks" ? [...inputs, blocks(l!, s!).expand([b!, h!, l!, s!])] : inputs, { scale: 0.5 }),
    differentiable,
  }));

/** What attention looks at. */
export interface AttentionInputs {
  /** [B, H, L, D] */
  readonly query: Tensor;
  /** [B, H, S, D] */
  readonly key: Tensor;
  /** [B, H, S, E] */
  readonly value: Tensor;
}

/** Of `scaledDotProductAttention`. */
export interface AttentionOptions {
  /** Broadcast to [B, H, L, S]: floats are added to the scores, −∞ blocks; of bools, false blocks. */
  readonly mask?: Tensor | undefined;
  /** What scores are multiplied by; default 1/√D. */
  readonly scale?: number | undefined;
}

const RULES = [...inputRules(INPUTS.slice(0, 3)), ...inputRules({ "mask?": ["f32", "bool"] })];
const OPTIONS: OptionRules<AttentionOptions> = { mask: thing, scale: real };
const ATTENTION: Takes = {
  inputs: options<AttentionInputs>({ query: needed(thing), key: needed(thing), value: needed(thing) }),
  "options?": options(OPTIONS),
};

/**
 * softmax(query · keyᵀ · scale + mask) · value, [B, H, L, E], as PyTorch's function of that name. Where a backend has a
 * kernel, nothing of the size of the scores is written. Without keys the result is 0. @throws ShapeError
 */
export const scaledDotProductAttention = defineCall(
  NAME,
  ATTENTION,
  ({ query, key, value }: AttentionInputs, { mask, scale }: AttentionOptions = {}): Tensor => {
    checkInputs(NAME, [query, key, value, mask], RULES);
    const inputs = [query, key, value];
    if (mask) {
      const shape = [...query.shape.slice(0, 3), key.shape[2]!];
      if (!sameShape(broadcastShapes(NAME, [mask.shape, shape]), shape))
        throw new ShapeError(
          `${NAME}: mask ${shapeText(mask.shape)} does not broadcast to the scores ${shapeText(shape)}`,
        );
      inputs.push((mask.dtype === "bool" ? where(mask, 0, Number.NEGATIVE_INFINITY) : mask).expand(shape));
    }
    return swapped(attentionOp(inputs, { scale: scale ?? 1 / Math.sqrt(query.shape[3]!) })[0]!);
  },
);
