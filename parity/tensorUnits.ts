import { AdamW, clipCoefficient, Ema, emaDecay, globalNorm, linearWarmup, type OptimizerGroup } from "@dfine/nn";
import { backward, deformableSample, full, type Tensor, tensor } from "@dfine/tensor";
import { distanceToBox, inverseSigmoid } from "../packages/dfine/src/boxes.ts";
import { boxGiou, boxIou } from "../packages/dfine/src/loss/boxOverlap.ts";
import { binWeights, integral } from "../packages/dfine/src/model/integral.ts";
import { unitError } from "./compare.ts";
import { type OperatorAttrs, runOperator } from "./operators.ts";
import type { JsonTensor } from "./pack.ts";
import { toTensor } from "./target.ts";
import { type Measure, perCase, type Unit } from "./unit.ts";

interface OperatorUnit {
  readonly name: string;
  readonly attrs: OperatorAttrs;
  readonly inputs: number;
}

const operators = (file: string): Unit => ({
  file: `units/${file}.json`,
  on: "tensors",
  async run(pack) {
    const tensors = pack.tensors(`units/${file}.safetensors`);
    const measures: Measure[] = [];
    for (const { name, attrs, inputs } of pack.json<OperatorUnit[]>(`units/${file}.json`)) {
      const leaves = Array.from({ length: inputs }, (_, i) => toTensor(tensors.floats(`${name}.in${i}`)));
      const { out, gradients } = runOperator(attrs, leaves, toTensor(tensors.floats(`${name}.grad_out`)));
      const errors = [unitError(await out.data(), tensors.floats(`${name}.out`).values)];
      for (const [i, gradient] of gradients.entries())
        errors.push(unitError(await gradient.data(), tensors.floats(`${name}.grad${i}`).values));
      measures.push({ name, error: Math.max(...errors) });
    }
    return measures;
  },
});

interface DeformableUnit {
  readonly method: "default" | "discrete";
  readonly spatial_shapes: readonly [number, number][];
  readonly num_points: readonly number[];
  /** Per level [B, heads, d, h·w]. */
  readonly value: readonly JsonTensor[];
  readonly locations: JsonTensor;
  readonly weights: JsonTensor;
  readonly out: JsonTensor;
  readonly grad_out: JsonTensor;
  readonly grad_value: readonly JsonTensor[];
  readonly grad_locations: JsonTensor | null;
  readonly grad_weights: JsonTensor;
}

/** Levels [B, heads, d, h·w] joined to one row-major [B, L, heads, d]. */
function joinLevels(levels: readonly JsonTensor[]): JsonTensor {
  const [batch, heads, depth] = levels[0]!.shape as [number, number, number];
  const data: number[] = [];
  for (let b = 0; b < batch; b++)
    for (const level of levels) {
      const length = level.shape[3]!;
      for (let t = 0; t < length; t++)
        for (let c = 0; c < heads * depth; c++) data.push(level.data[(b * heads * depth + c) * length + t]!);
    }
  const length = levels.reduce((sum, level) => sum + level.shape[3]!, 0);
  return { shape: [batch, length, heads, depth], data };
}

const deformable = perCase<DeformableUnit>({
  ...{ file: "units/deformable_attention.json", on: "tensors" },
  async measures(unit) {
    const [value, locations, weights] = [joinLevels(unit.value), unit.locations, unit.weights].map(toTensor) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    for (const leaf of [value, locations, weights]) leaf.requiresGrad = true;
    const levels = unit.spatial_shapes.map(([height, width], l) => ({ height, width, points: unit.num_points[l]! }));
    const method = unit.method === "default" ? "bilinear" : "discrete";
    const out = deformableSample({ value, locations, weights }, { method, levels });
    backward(out, toTensor(unit.grad_out));
    const pairs: [string, Tensor | undefined, JsonTensor | null][] = [
      ["out", out, unit.out],
      ["grad_value", value.grad, joinLevels(unit.grad_value)],
      ["grad_locations", locations.grad, unit.grad_locations],
      ["grad_weights", weights.grad, unit.grad_weights],
    ];
    const measures: Measure[] = [];
    for (const [name, found, expected] of pairs)
      if (expected) measures.push({ name, error: unitError((await found?.data()) ?? [], expected.data) });
    for (const leaf of [value, locations, weights]) leaf.grad = undefined;
    return measures;
  },
});

const overlap: Unit = {
  file: "units/box_iou.json",
  on: "tensors",
  async run(pack) {
    const unit = pack.json<Record<"a_cxcywh" | "b_cxcywh" | "iou" | "giou", JsonTensor>>("units/box_iou.json");
    const [a, b] = [toTensor(unit.a_cxcywh).unsqueeze(1), toTensor(unit.b_cxcywh).unsqueeze(0)];
    return [
      { name: "iou", error: unitError(await boxIou(a, b).data(), unit.iou.data) },
      { name: "giou", error: unitError(await boxGiou(a, b).data(), unit.giou.data) },
    ];
  },
};

const boxCoding: readonly Unit[] = [
  {
    file: "units/inverse_sigmoid.json",
    on: "tensors",
    async run(pack) {
      const { x, y } = pack.json<Record<"x" | "y", JsonTensor>>("units/inverse_sigmoid.json");
      return [{ name: "y", error: unitError(await inverseSigmoid(toTensor(x)).data(), y.data) }];
    },
  },
  perCase<Record<"points" | "distance" | "out_cxcywh", JsonTensor> & { readonly reg_scale: number }>({
    ...{ file: "units/distance2bbox.json", on: "tensors" },
    async measures(unit) {
      const boxes = distanceToBox(toTensor(unit.points), toTensor(unit.distance), unit.reg_scale);
      return [{ name: "boxes", error: unitError(await boxes.data(), unit.out_cxcywh.data) }];
    },
  }),
  {
    file: "units/integral.json",
    on: "tensors",
    async run(pack) {
      const unit = pack.json<Record<"logits" | "out" | "grad_out" | "grad_logits", JsonTensor>>("units/integral.json");
      const logits = toTensor(unit.logits);
      logits.requiresGrad = true;
      // The README's: up 0.5, reg_scale 4; the bins follow from the shape.
      const regMax = unit.logits.shape.at(-1)! / 4 - 1;
      const out = integral(logits, binWeights({ up: full([1], 0.5), regScale: full([1], 4), regMax }));
      backward(out, toTensor(unit.grad_out));
      const gradient = unitError((await logits.grad?.data()) ?? [], unit.grad_logits.data);
      logits.grad = undefined;
      return [
        { name: "out", error: unitError(await out.data(), unit.out.data) },
        { name: "grad_logits", error: gradient },
      ];
    },
  },
];

type Named = Readonly<Record<string, readonly number[]>>;

interface OptimizerUnit {
  readonly init: Named;
  readonly groups: readonly {
    readonly params: readonly string[];
    readonly lr: number;
    readonly weight_decay: number;
  }[];
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly clip_max_norm: number;
  readonly warmup_duration: number;
  readonly ema: { readonly decay: number; readonly warmups: number };
  readonly steps: readonly {
    readonly lr: readonly number[];
    /** Null: the parameter has no gradient in this step. */
    readonly grads: Readonly<Record<string, readonly number[] | null>>;
    readonly grad_norm: number;
    readonly params: Named;
    readonly ema_decay: number;
    readonly ema: Named;
  }[];
}

const optimizer: Unit = {
  file: "units/optimizer.json",
  on: "tensors",
  async run(pack) {
    const unit = pack.json<OptimizerUnit>("units/optimizer.json");
    const parameters = new Map(Object.entries(unit.init).map(([name, values]) => [name, tensor(values)]));
    for (const parameter of parameters.values()) parameter.requiresGrad = true;
    const groups = unit.groups.map(
      (group, i): OptimizerGroup => ({
        name: `${i}`,
        parameters: new Map(group.params.map((name) => [name, parameters.get(name)!])),
        learningRate: group.lr,
        weightDecay: group.weight_decay,
      }),
    );
    const { betas, eps } = unit;
    const adamW = new AdamW(groups, { betas, eps });
    const ema = new Ema(parameters, unit.ema);
    const warmup = linearWarmup(unit.warmup_duration);
    const measures: Measure[] = [];
    for (const [i, step] of unit.steps.entries()) {
      for (const [name, values] of Object.entries(step.grads)) if (values) parameters.get(name)!.grad = tensor(values);
      const norm = await globalNorm(adamW.gradients()).item();
      adamW.step({ rateFactor: warmup(i), gradientFactor: clipCoefficient(norm, unit.clip_max_norm) });
      adamW.zeroGrad();
      ema.update(parameters);
      const rates = groups.map((group) => group.learningRate * warmup(i));
      const values = async (of: ReadonlyMap<string, Tensor>, expected: Named): Promise<number> => {
        let error = 0;
        for (const [name, wanted] of Object.entries(expected))
          error = Math.max(error, unitError(await of.get(name)!.data(), wanted));
        return error;
      };
      const scalars = unitError(
        [norm, emaDecay(unit.ema, ema.updates), ...rates],
        [step.grad_norm, step.ema_decay, ...step.lr],
      );
      measures.push(
        { name: `step ${i} norm, decay, rates`, error: scalars },
        { name: `step ${i} parameters`, error: await values(parameters, step.params) },
        { name: `step ${i} ema`, error: await values(ema.entries, step.ema) },
      );
    }
    adamW.dispose();
    ema.dispose();
    return measures;
  },
};

/** Units of tensor code, but for the losses. */
export const tensorUnits: readonly Unit[] = [
  operators("operators"),
  operators("detr_operators"),
  deformable,
  overlap,
  ...boxCoding,
  optimizer,
];
