import { type BackboneConfig, ConfigError, type EncoderConfig, type ModelConfig } from "./config.ts";

/** Rounds to the nearest integer, halves to the even one, as Python does. */
export function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

/** Channels of each level that the backbone hands on, finest first. */
export function featureChannels(backbone: BackboneConfig): number[] {
  return backbone.returnStages.map((stage) => backbone.stages[stage]!.out);
}

/** Stride of each level that the backbone hands on, in input pixels, finest first. */
export function featureStrides(backbone: BackboneConfig): number[] {
  return backbone.returnStages.map(
    (stage) => 4 * 2 ** backbone.stages.slice(0, stage + 1).filter(({ downsample }) => downsample).length,
  );
}

/** Inner width of an encoder block, c4 of RepNCSPELAN4. */
export function elanWidth(encoder: EncoderConfig): number {
  return roundHalfEven(Math.floor((encoder.expansion * encoder.hiddenDim) / 2));
}

/** RepVGG blocks in each CSP layer of an encoder block. */
export function repBlocks(encoder: EncoderConfig): number {
  return roundHalfEven(3 * encoder.depthMult);
}

/** Index of the decoder layer whose output is used outside training. */
export function evalLayerIndex(decoder: { layers: number; evalLayer: number }): number {
  return decoder.evalLayer < 0 ? decoder.layers + decoder.evalLayer : decoder.evalLayer;
}

/** Tokens over all levels for an input of the given height and width, pixels. */
export function tokenCount(backbone: BackboneConfig, [height, width]: readonly [number, number]): number {
  return featureStrides(backbone).reduce(
    (sum, stride) => sum + Math.floor(height / stride) * Math.floor(width / stride),
    0,
  );
}

/**
 * Checks that a model can take an input of the given height and width, pixels.
 * @throws ConfigError where a side is no multiple of the coarsest stride or there are fewer tokens than queries
 */
export function checkInputSize(model: ModelConfig, [height, width]: readonly [number, number]): void {
  const step = Math.max(32, ...featureStrides(model.backbone));
  if (height <= 0 || width <= 0 || height % step !== 0 || width % step !== 0)
    throw new ConfigError(
      `input size: ${height}x${width} is not a multiple of ${step} on both sides; ` +
        `the next larger size is ${Math.ceil(Math.max(height, 1) / step) * step}x${Math.ceil(Math.max(width, 1) / step) * step}`,
    );
  const needed = model.decoder.numQueries;
  const tokens = tokenCount(model.backbone, [height, width]);
  if (tokens >= needed) return;
  let smallest = step;
  while (tokenCount(model.backbone, [smallest, smallest]) < needed) smallest += step;
  throw new ConfigError(
    `input size: ${height}x${width} gives ${tokens} tokens for ${needed} queries; ` +
      `use at least ${smallest}x${smallest}, or lower model.decoder.numQueries`,
  );
}
