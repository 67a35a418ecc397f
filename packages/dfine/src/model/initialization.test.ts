import { Random, readTensors, referenceBackend, withBackend } from "@dfine/tensor";
import { describe, expect, test } from "vitest";
import { type Parameter, problem, type Start, usual, usualBias, value, xavier } from "../../test/firstValues.ts";
import { presetConfig } from "../config/presets.ts";
import type { DFineConfig } from "./dfineConfig.ts";
import { DFineModel } from "./dfineModel.ts";

/** Rays of eight heads, k steps long for the k-th point of a level: [8, P, 2]. */
function rays(points: readonly number[]) {
  return (): Start => ({
    holds: (values) =>
      values.every((found, at) => {
        const [head, axis] = [Math.floor(at / (2 * 12)), at % 2];
        const steps = points.flatMap((count) => Array.from({ length: count }, (_, k) => k + 1));
        const [x, y] = [Math.cos((Math.PI * head) / 4), Math.sin((Math.PI * head) / 4)];
        const length = steps[Math.floor(at / 2) % 12]! / Math.max(Math.abs(x), Math.abs(y));
        return Math.abs(found - length * (axis === 0 ? x : y)) < 1e-5;
      }),
  });
}

/** docs/specification.md §3; the first pattern that a name matches counts. */
const rules = (points: readonly number[]): readonly (readonly [RegExp, (parameter: Parameter) => Start])[] => [
  [/\.(bn|norm\d?)\.weight$|\.lab\.scale$/, value(1)],
  [/\.(bn|norm\d?)\.bias$|\.lab\.bias$/, value(0)],
  [/score_head(\.\d)?\.bias$/, value(-Math.log(0.99 / 0.01))],
  [/bbox_head(\.\d)?\.layers\.2\./, value(0)],
  [/reg_conf\.layers\.1\./, value(0)],
  [/(attention_weights|gateway\.gate)\.(weight|bias)$|sampling_offsets\.weight$/, value(0)],
  [/sampling_offsets\.bias$/, rays(points)],
  [/in_proj_weight$/, xavier],
  [/in_proj_bias$|out_proj\.bias$/, value(0)],
  [/^decoder\.(decoder\.layers\.\d\.linear\d|query_pos_head\.layers\.\d|enc_output\.proj)\.weight$/, xavier],
  [/^decoder\.input_proj\.\d\.conv\.weight$/, xavier],
  [/denoising_class_embed\.weight$/, () => ({ std: 1 })],
  [/\.weight$/, usual],
  [/\.bias$/, usualBias],
];

describe("first values are those of the official code", () => {
  test.each<[string, (config: DFineConfig) => void]>([
    ["n", () => {}],
    ["n with another decoder width, so that maps are projected", (config) => (config.decoder.hiddenDim = 96)],
  ])("%s", async (_, change) => {
    const { model: config } = presetConfig("n");
    change(config);
    const classes = config.classes.length;
    {
      using model = withBackend(referenceBackend(), () => new DFineModel(config).initialize(new Random(0)));
      const parameters = model.namedParameters();
      const trained = [...parameters].filter(([, { requiresGrad }]) => requiresGrad);
      const arrays = await readTensors(trained.map(([, tensor]) => tensor));
      const table = rules(config.decoder.points);
      const problems = trained.flatMap(([name, { shape }], i) => {
        const weightShape = parameters.get(name.replace(/bias$/, "weight"))?.shape;
        const [, start] = table.find(([pattern]) => pattern.test(name))!;
        const isEmbedding = name.endsWith("denoising_class_embed.weight");
        const drawn = isEmbedding ? arrays[i]!.subarray(0, classes * shape[1]!) : arrays[i]!;
        const found = problem(start({ name, shape, weightShape }), drawn);
        return found === undefined ? [] : [`${name} ${found}`];
      });
      expect(problems).toEqual([]);
      expect(trained.length).toBeGreaterThan(400);
      const embedding = arrays[trained.findIndex(([name]) => name.endsWith("denoising_class_embed.weight"))]!;
      expect(embedding.subarray(-config.decoder.hiddenDim).every((x) => x === 0)).toBe(true);
    }
  });
});
