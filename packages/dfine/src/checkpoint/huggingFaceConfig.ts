import { ExportError } from "../exportError.ts";
import { backboneLevels, type DFineConfig } from "../model/dfineConfig.ts";

/** What transformers' D-FINE has only one way of. */
const ONLY = {
  "model.encoder.block": ["gelan", ({ encoder }) => encoder.block],
  "model.encoder.downsample": ["scdown", ({ encoder }) => encoder.downsample],
  "model.decoder.attentionProjections": [false, ({ decoder }) => decoder.attentionProjections],
  "model.decoder.inputProjection": ["differing", ({ decoder }) => decoder.inputProjection],
  "model.decoder.fusion": ["gate", ({ decoder }) => decoder.fusion],
  "model.decoder.querySelect": ["default", ({ decoder }) => decoder.querySelect],
  "model.decoder.boxHead": ["distribution", ({ decoder }) => decoder.boxHead],
  "model.decoder.anchorMargin": [0.01, ({ decoder }) => decoder.anchorMargin],
  "model.resize": ["squeeze", ({ resize }) => resize],
} as const satisfies Record<string, readonly [unknown, (config: DFineConfig) => unknown]>;

/** Numbers that Python must see as fractions, even where they are whole. */
const FRACTION = /"(?:hidden_expansion|depth_mult|decoder_offset_scale|reg_scale|up)": -?\d+(?=,?$)/gm;

/** JSON as transformers' checks of element types want it. */
export const jsonText = (value: object): string =>
  `${JSON.stringify(value, undefined, 2).replace(FRACTION, (text) => `${text}.0`)}\n`;

/** A model's configuration as transformers' `DFineConfig` has it; what is left out is as it is there. @throws ExportError */
export function huggingFaceConfig(config: DFineConfig): object {
  for (const [key, [only, of]] of Object.entries(ONLY))
    if (of(config) !== only)
      throw new ExportError(`huggingface: transformers knows only ${key}=${only}, but this model has ${of(config)}`);
  const { backbone, encoder, decoder, denoising, classes } = config;
  if (backbone.type !== "hgnetv2")
    throw new ExportError(`huggingface: transformers' D-FINE has no backbone like ${backbone.type} here`);
  const levels = backboneLevels(config);
  const { stem, stages, returnStages } = backbone;
  const outputs = returnStages.map((stage) => stage + 1);
  const numDenoising = denoising.type === "contrastive" ? denoising.numDenoising : 0;
  return {
    architectures: ["DFineForObjectDetection"],
    model_type: "d_fine",
    id2label: Object.fromEntries(classes.map((name, id) => [id, name])),
    label2id: Object.fromEntries(classes.map((name, id) => [name, id])),
    backbone_config: {
      model_type: "hgnet_v2",
      embedding_size: stem.out,
      depths: stages.map(({ blocks }) => blocks),
      hidden_sizes: stages.map(({ out }) => out),
      stem_channels: [3, stem.mid, stem.out],
      stage_in_channels: stages.map((stage) => stage.in),
      stage_mid_channels: stages.map(({ mid }) => mid),
      stage_out_channels: stages.map(({ out }) => out),
      stage_num_blocks: stages.map(({ blocks }) => blocks),
      stage_downsample: stages.map(({ downsample }) => downsample),
      stage_light_block: stages.map(({ light }) => light),
      stage_kernel_size: stages.map(({ kernel }) => kernel),
      stage_numb_of_layers: stages.map(({ layers }) => layers),
      use_learnable_affine_block: backbone.learnableAffine,
      out_indices: outputs,
      out_features: outputs.map((stage) => `stage${stage}`),
    },
    freeze_backbone_batch_norms: backbone.freezeNorm,
    encoder_hidden_dim: encoder.hiddenDim,
    encoder_in_channels: levels.map(({ channels }) => channels),
    feat_strides: levels.map(({ stride }) => stride),
    encoder_layers: encoder.layers,
    encoder_ffn_dim: encoder.feedForwardDim,
    encoder_attention_heads: encoder.heads,
    encode_proj_layers: encoder.transformerLevels,
    positional_encoding_temperature: encoder.positionTemperature,
    hidden_expansion: encoder.expansion,
    depth_mult: encoder.depthMult,
    d_model: decoder.hiddenDim,
    num_queries: decoder.numQueries,
    decoder_in_channels: levels.map(() => encoder.hiddenDim),
    decoder_ffn_dim: decoder.feedForwardDim,
    num_feature_levels: levels.length,
    decoder_n_points: decoder.points,
    decoder_layers: decoder.layers,
    decoder_attention_heads: decoder.heads,
    decoder_offset_scale: decoder.offsetScale,
    decoder_method: decoder.crossAttention,
    learn_initial_query: decoder.learnQueryContent,
    num_denoising: numDenoising,
    eval_idx: decoder.evalLayer,
    max_num_bins: decoder.regMax,
    reg_scale: decoder.regScale,
    up: decoder.up,
  };
}

/** What brings images to an input of [height, width], as transformers has it: RGB / 255, without further normalisation. */
export const imageProcessorConfig = ([height, width]: readonly [number, number]): object => ({
  image_processor_type: "RTDetrImageProcessor",
  do_resize: true,
  size: { height, width },
  // Bilinear.
  resample: 2,
  do_rescale: true,
  rescale_factor: 1 / 255,
  do_normalize: false,
  do_pad: false,
});
