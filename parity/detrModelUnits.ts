import { FrozenBatchNorm2d, initialize } from "@dfine/nn";
import { backward, Random, sigmoid, type Tensor, tensor } from "@dfine/tensor";
import { inverseSigmoid } from "../packages/dfine/src/boxes.ts";
import { DeformableAttention } from "../packages/dfine/src/model/deformableAttention.ts";
import { sinePositions } from "../packages/dfine/src/model/detr/positions.ts";
import { boxFeatures } from "../packages/dfine/src/model/detr/sine.ts";
import { Bottleneck, ResNet } from "../packages/dfine/src/model/resnet.ts";
import { unitError } from "./compare.ts";
import { detrTokenUnits } from "./detrTokenUnits.ts";
import { filledIn, levelSize, measured, type Size } from "./detrUnitKit.ts";
import type { JsonTensor, Pack } from "./pack.ts";
import { toTensor } from "./target.ts";
import { type Measure, perCase, type Unit } from "./unit.ts";

interface AttentionUnit {
  readonly heads: number;
  readonly levels: number;
  readonly points: number;
  readonly spatial_shapes: readonly Size[];
  readonly query: JsonTensor;
  readonly reference: JsonTensor;
  readonly input: JsonTensor;
  readonly padding_mask: JsonTensor | null;
  readonly state: Readonly<Record<string, JsonTensor>>;
  readonly out: JsonTensor;
  readonly grad_out: JsonTensor;
  readonly grad_query: JsonTensor;
  readonly grad_reference: JsonTensor;
  readonly grad_input: JsonTensor;
  readonly grad_state: Readonly<Record<string, JsonTensor>>;
}

async function attentionMeasures(unit: AttentionUnit): Promise<Measure[]> {
  const { heads, levels, points } = unit;
  const options = { heads, points: new Array<number>(levels).fill(points), projections: true };
  using attention = new DeformableAttention(unit.query.shape[2]!, options);
  attention.loadStateDict(
    new Map(
      Object.entries(unit.state).map(([key, { shape, data }]) => [key, { shape, data: Float64Array.from(data) }]),
    ),
  );
  const [query, reference, value] = [unit.query, unit.reference, unit.input].map(toTensor) as [Tensor, Tensor, Tensor];
  for (const leaf of [query, reference, value]) leaf.requiresGrad = true;
  const mask = unit.padding_mask;
  const padding = mask ? tensor([...mask.data], mask.shape, { dtype: "bool" }) : undefined;
  const out = attention.call({ query, reference, value, levels: unit.spatial_shapes.map(levelSize), padding });
  backward(out, toTensor(unit.grad_out));
  const parameters = attention.namedParameters();
  return [
    await measured("out", out, unit.out.data),
    await measured("grad_query", query.grad, unit.grad_query.data),
    await measured("grad_reference", reference.grad, unit.grad_reference.data),
    await measured("grad_input", value.grad, unit.grad_input.data),
    ...(await Promise.all(
      Object.entries(unit.grad_state).map(([key, { data }]) =>
        measured(`grad ${key}`, parameters.get(key)?.grad, data),
      ),
    )),
  ];
}

const attention = perCase<AttentionUnit>({
  ...{ file: "units/ms_deform_attn.json", on: "tensors" },
  measures: attentionMeasures,
});

const attentionStart: Unit = {
  file: "units/ms_deform_attn_init.json",
  on: "tensors",
  async run(pack) {
    const unit = pack.json<{ heads: number; levels: number; points: number; "sampling_offsets.bias": JsonTensor }>(
      "units/ms_deform_attn_init.json",
    );
    const points = new Array<number>(unit.levels).fill(unit.points);
    using module = new DeformableAttention(8 * unit.heads, { heads: unit.heads, points, projections: true });
    initialize(module, new Random(0));
    const { bias } = module.samplingOffsets;
    // First values are float32 numbers, on both sides and whatever a model computes in.
    return [{ ...(await measured("sampling_offsets.bias", bias, unit["sampling_offsets.bias"].data)), allowed: 1e-5 }];
  },
};

interface ResNetUnit {
  readonly name: string;
}

/** A ResNet without blocks, which ends behind its stem. */
const stem = (width: number) =>
  new ResNet({ type: "resnet50", returnStages: [0], freezeAt: -1, freezeNorm: true }, { width, blocks: [0, 0, 0, 0] });

/** The pack's module with its weights: a stem, or a bottleneck of the sizes of its weights. */
function resnetModule(pack: Pack, name: string) {
  const tensors = pack.tensors("units/resnet.safetensors");
  const prefix = `${name}.state.`;
  const state = new Map(
    tensors.names.filter((key) => key.startsWith(prefix)).map((key) => [key.slice(prefix.length), tensors.floats(key)]),
  );
  const [mid, input] = state.get("conv1.weight")!.shape as [number, number];
  const norm = (channels: number) => new FrozenBatchNorm2d(channels);
  const module =
    name === "stem" ? stem(mid) : new Bottleneck(input, mid, { stride: name.includes("stride2") ? 2 : 1, norm });
  module.loadStateDict(new Map([...state].map(([key, { shape, values }]) => [key, { shape, data: values }])));
  return module;
}

const resnet: Unit = {
  file: "units/resnet.json",
  on: "tensors",
  async run(pack) {
    const tensors = pack.tensors("units/resnet.safetensors");
    const measures: Measure[] = [];
    for (const { name } of pack.json<ResNetUnit[]>("units/resnet.json")) {
      using module = resnetModule(pack, name);
      const x = toTensor(tensors.floats(`${name}.in`));
      x.requiresGrad = true;
      const given = module.call(x);
      const out = Array.isArray(given) ? given[0]! : given;
      backward(out, toTensor(tensors.floats(`${name}.grad_out`)));
      const pairs: [string, Tensor | undefined][] = [
        ["out", out],
        ["grad_in", x.grad],
        ...[...module.namedParameters()].map(([key, { grad }]): [string, Tensor | undefined] => [`grad.${key}`, grad]),
      ];
      for (const [key, found] of pairs)
        measures.push(await measured(`${name} ${key}`, found, tensors.floats(`${name}.${key}`).values));
    }
    return measures;
  },
};

interface PositionUnit {
  readonly features_per_axis: number;
  readonly temperature: number;
  readonly offset: number;
  readonly mask: JsonTensor;
  readonly out: JsonTensor;
}

const positions = (whose: string): Unit =>
  perCase<PositionUnit>({
    ...{ file: `units/position_sine_${whose}.json`, on: "tensors" },
    async measures({ features_per_axis: features, temperature, offset, mask, out }, { backend }) {
      const [batch, height, width] = mask.shape as [number, number, number];
      const grid = { size: { height, width }, filled: filledIn(mask, { height, width }), backend };
      const found = await sinePositions(grid, { features, temperature, offset }).transpose(1, 2).data();
      const perImage = 2 * features * height * width;
      const isPadding = (k: number) => mask.data[Math.floor(k / perImage) * height * width + (k % (height * width))];
      const shown = Array.from({ length: batch * perImage }, (_, k) => (isPadding(k) ? 0 : found[k]!));
      return [{ name: "out", error: unitError(shown, out.data) }];
    },
  });

const SINES = { features: 128, temperature: 10000 };

const sines: readonly Unit[] = [
  {
    file: "units/proposal_pos_embed.json",
    on: "tensors",
    async run(pack) {
      const unit = pack.json<Record<"proposals_logit" | "out", JsonTensor>>("units/proposal_pos_embed.json");
      const boxes = sigmoid(toTensor(unit.proposals_logit));
      return [await measured("out", boxFeatures(boxes, [0, 1, 2, 3], SINES), unit.out.data)];
    },
  },
  {
    file: "units/query_sine_embed.json",
    on: "tensors",
    async run(pack) {
      const unit =
        pack.json<Record<"boxes" | "out" | "grad_out" | "grad_boxes" | "points" | "out_points", JsonTensor>>(
          "units/query_sine_embed.json",
        );
      const boxes = toTensor(unit.boxes);
      boxes.requiresGrad = true;
      const out = boxFeatures(boxes, [1, 0, 2, 3], SINES);
      backward(out, toTensor(unit.grad_out));
      return [
        await measured("out", out, unit.out.data),
        await measured("grad_boxes", boxes.grad, unit.grad_boxes.data),
        await measured("points", boxFeatures(toTensor(unit.points), [1, 0], SINES), unit.out_points.data),
      ];
    },
  },
];
const logits = (whose: string): Unit => ({
  file: `units/inverse_sigmoid_${whose}.json`,
  on: "tensors",
  async run(pack) {
    const unit = pack.json<Record<"x" | "y", JsonTensor> & { eps: number }>(`units/inverse_sigmoid_${whose}.json`);
    return [await measured("y", inverseSigmoid(toTensor(unit.x), unit.eps), unit.y.data)];
  },
});

const WHOSE = ["deformable", "dn", "dino"];

/** Parts of other DETRs. */
export const detrModelUnits: readonly Unit[] = [
  resnet,
  attention,
  attentionStart,
  ...WHOSE.map(positions),
  ...detrTokenUnits,
  ...sines,
  ...WHOSE.map(logits),
];
