import { initialize, Module } from "@dfine/nn";
import type { Random, Tensor } from "@dfine/tensor";
import { ConfigError, type ModelConfig } from "../config/config.ts";
import { checkInputSize, featureChannels } from "../config/derived.ts";
import { Decoder } from "./decoder.ts";
import type { DenoisingQueries } from "./denoising.ts";
import { HgNetV2 } from "./hgnetv2.ts";
import { HybridEncoder } from "./hybridEncoder.ts";
import type { Predictions, TrainingOutputs } from "./outputs.ts";
import { noTap, type Tap } from "./taps.ts";

/** What a forward pass may be given besides images. */
export interface ForwardOptions {
  /** Used in training only. */
  readonly denoising?: DenoisingQueries | undefined;
  /** Sees intermediate tensors. */
  readonly tap?: Tap;
}

/**
 * D-FINE: images [B, 3, H, W] (RGB / 255, sides multiples of 32) → in training what the criterion judges, otherwise class
 * logits and boxes. Its weights are zeros until `initialize` or `loadStateDict`. Peng et al. 2024.
 */
export class DFineModel extends Module<[images: Tensor, options?: ForwardOptions], TrainingOutputs | Predictions> {
  readonly backbone: HgNetV2;
  readonly decoder: Decoder;
  readonly encoder: HybridEncoder;
  readonly config: ModelConfig;
  #isDeployed = false;

  constructor(config: ModelConfig) {
    super();
    this.backbone = new HgNetV2(config.backbone);
    this.decoder = new Decoder(config.encoder.hiddenDim, config);
    this.encoder = new HybridEncoder(featureChannels(config.backbone), config.encoder);
    this.config = config;
  }

  /** Gives all parameters the official first values. Layers of the decoder start alike, as copies of one. */
  initialize(random: Random): this {
    initialize(this, random, {
      stream: (name) => name.replace(/^decoder\.decoder\.layers\.\d+/, "decoder.decoder.layers"),
    });
    return this;
  }

  /** @throws ConfigError where the images' size does not suit the model */
  protected forward(images: Tensor, { denoising, tap = noTap }: ForwardOptions = {}): TrainingOutputs | Predictions {
    checkInputSize(this.config, [images.shape[2]!, images.shape[3]!]);
    const features = this.backbone.call(images);
    const maps = this.encoder.call(features);
    for (const [i, feature] of features.entries()) tap(`backbone.${i}`, feature);
    for (const [i, map] of maps.entries()) tap(`encoder.${i}`, map);
    return this.decoder.call({ maps, denoising, tap });
  }

  /** Predictions for a training step. @throws ConfigError outside training mode */
  trainingOutputs(images: Tensor, options: ForwardOptions = {}): TrainingOutputs {
    const outputs = this.call(images, options);
    if ("last" in outputs) return outputs;
    throw new ConfigError("model: training outputs were asked of a model in evaluation mode; call train() first");
  }

  /** Logits [B, Q, C] and boxes [B, Q, 4] of the evaluation layer. @throws ConfigError in training mode */
  predictions(images: Tensor, options: ForwardOptions = {}): Predictions {
    const outputs = this.call(images, options);
    if ("logits" in outputs) return outputs;
    throw new ConfigError("model: predictions were asked of a model in training mode; call eval() first");
  }

  /** @throws ConfigError when a deployed model is to be trained */
  override train(mode = true): this {
    if (mode && this.#isDeployed)
      throw new ConfigError("model: the deploy form cannot be trained; train the model it was made from");
    return super.train(mode);
  }

  /** Turns this model into its deploy form, for good: see `deploy`. */
  fuse(): this {
    this.eval();
    this.#isDeployed = true;
    this.encoder.fuse();
    this.decoder.prune();
    return this.freeze();
  }
}

/**
 * A copy of a model for inference: convolutions of the encoder joined with their norms, and without the heads that only
 * training uses. Same outputs up to rounding. D-FINE's `deploy()`.
 */
export function deploy(model: DFineModel): DFineModel {
  const copy = new DFineModel(model.config);
  copy.loadStateDict(model.stateDict());
  return copy.fuse();
}
