import { Random, readTensors, referenceBackend, type TypedArray, withBackend } from "@dfine/tensor";
import { expect, test } from "vitest";
import { type Parameter, problem, type Start, usual, usualBias, value, xavier } from "../../../test/firstValues.ts";
import { tinyDetr } from "../../../test/tinyDetr.ts";
import { DETR_PRESET_NAMES } from "../../config/config.ts";
import { buildDetector } from "../architectures.ts";

const normal = (): Start => ({ std: 1 });
/** A box head's last bias: of small boxes, where nothing was proposed. */
const small = (): Start => ({ holds: (values) => [0, 0, -2, -2].every((expected, i) => values[i] === expected) });

/** docs/families.md, as the public code has it; the first pattern that a name matches counts. */
const rules = (hasProposals: boolean): readonly (readonly [RegExp, (parameter: Parameter) => Start])[] => [
  [/(norm\d?|_norm|input_proj\.\d\.1)\.weight$/, value(1)],
  [/(norm\d?|_norm|input_proj\.\d\.1)\.bias$/, value(0)],
  [/class_embed(\.\d)?\.bias$/, value(-Math.log(0.99 / 0.01))],
  [/^(bbox_embed\.0|pre_bbox_head)\.layers\.2\.bias$/, hasProposals ? value(0) : small],
  [/(bbox_embed(\.\d)?|bbox_head(\.\d)?)\.layers\.2\./, value(0)],
  [/attention_weights\.|sampling_offsets\.weight$/, value(0)],
  // Checked by parity's units, for sizes of the public models.
  [/sampling_offsets\.bias$/, () => ({ holds: (values) => values.some((found) => found !== 0) })],
  [/(value_proj|output_proj|out_proj|reference_points|input_proj\.\d\.0)\.bias$|in_proj_bias$/, value(0)],
  [/^input_proj\.\d\.0\.weight$/, xavier],
  [/level_embed$|^(query_embed|tgt_embed|refpoint_embed|label_enc)\.weight$/, normal],
  [/enc_out_(class|bbox)_embed\..*weight$/, usual],
  [/^transformer\..*weight$/, xavier],
  [/\.weight$/, usual],
  [/\.bias$/, usualBias],
];

/** Heads of one kind and biases of layers begin as copies; but for the last layer of the first box head. */
const COPIED =
  /^(class_embed|bbox_embed|dec_bbox_head|transformer\.(?:en|de)coder\.layers)\.0\.(linear\d\.bias|weight|bias|layers\.[01]\.\w+)$/;

test.each(DETR_PRESET_NAMES)("first values of %s are those of the public code", async (family) => {
  for (const fdr of [false, true]) {
    const { model: config } = tinyDetr(family, { fdr, goLsd: fdr });
    using model = withBackend(referenceBackend(), () => buildDetector(config).initialize(new Random(0)));
    const parameters = model.namedParameters();
    const own = [...parameters].filter(([name]) => !name.startsWith("backbone."));
    const arrays = await readTensors(own.map(([, tensor]) => tensor));
    const table = rules(config.architecture === "detr" && config.queries.type === "proposals");
    const problems = own.flatMap(([name, { shape }], i) => {
      const weightShape = parameters.get(name.replace(/bias$/, "weight"))?.shape;
      const [, start] = table.find(([pattern]) => pattern.test(name))!;
      const found = problem(start({ name, shape, weightShape }), arrays[i]!);
      return found === undefined ? [] : [`${name} ${found}`];
    });
    expect(problems).toEqual([]);
    const values = new Map(own.map(([name], i): [string, TypedArray] => [name, arrays[i]!]));
    const alike = (name: string, other: string): boolean =>
      values.get(name)!.every((found, i) => found === values.get(other)![i]);
    const copies = [...values.keys()].flatMap((name) => {
      const other = name.replace(COPIED, "$1.1.$2");
      return other !== name && values.has(other) ? [[name, other] as const] : [];
    });
    expect(copies.length).toBeGreaterThan(0);
    expect(copies.filter(([name, other]) => !alike(name, other))).toEqual([]);
    const weights = (layer: number) => `transformer.decoder.layers.${layer}.linear1.weight`;
    expect(alike(weights(0), weights(1))).toBe(false);
  }
});
