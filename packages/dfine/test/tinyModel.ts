import { type PresetModel, presetConfig } from "../src/config/presets.ts";
import { contrastive } from "../src/model/denoising.ts";

/** A model with all parts of D-FINE but few channels, queries and classes, for images from 64 x 64 on. */
export function tinyModel(change: (model: PresetModel) => void = () => {}): PresetModel {
  const { model } = presetConfig("n");
  const stage = (i: number, sizes: { in: number; mid: number; out: number }) => ({
    ...model.backbone.stages[i]!,
    ...sizes,
    blocks: i === 2 ? 2 : 1,
    layers: 2,
  });
  const tiny: PresetModel = {
    ...model,
    classes: ["one", "two", "three"],
    evalSize: [96, 96],
    backbone: {
      ...model.backbone,
      stem: { mid: 4, out: 4 },
      stages: [
        stage(0, { in: 4, mid: 4, out: 8 }),
        stage(1, { in: 8, mid: 4, out: 8 }),
        stage(2, { in: 8, mid: 4, out: 12 }),
        stage(3, { in: 12, mid: 6, out: 16 }),
      ],
    },
    encoder: { ...model.encoder, hiddenDim: 16, feedForwardDim: 24, heads: 2, expansion: 0.7 },
    decoder: {
      ...model.decoder,
      hiddenDim: 16,
      feedForwardDim: 24,
      heads: 2,
      layers: 3,
      points: [3, 2],
      numQueries: 12,
      regMax: 8,
    },
    denoising: { ...contrastive.defaults(2), numDenoising: 6 },
    numTopQueries: 12,
  };
  change(tiny);
  return tiny;
}
