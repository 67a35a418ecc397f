import type { Tensor } from "@dfine/tensor";
import type { MatchTargets } from "../loss/matches.ts";
import { Detector } from "./detector.ts";
import { checkDFineInput, type DFineConfig, planParts } from "./dfineConfig.ts";
import type { DenoisingDraws, DenoisingQueries, ForwardOptions, Predictions, TrainingOutputs } from "./outputs.ts";
import type { Backbone, Decoder, Encoder } from "./parts.ts";
import type { WeightingParameters } from "./weighting.ts";

/** D-FINE, or a model with other parts in its places: images with sides that are multiples of 32. Peng et al. 2024. */
export class DFineModel extends Detector<DFineConfig> {
  readonly backbone: Backbone;
  readonly decoder: Decoder;
  readonly encoder: Encoder;
  readonly config: DFineConfig;
  protected readonly classNames = {
    embedding: "decoder.denoising_class_embed.weight",
    // Those that choose queries may judge all classes as one.
    heads: /^decoder\.(?:enc_score_head|dec_score_head\.\d+)\.(?:weight|bias)$/,
  };
  readonly #denoiser: ReturnType<typeof planParts>["denoiser"];

  constructor(config: DFineConfig) {
    super();
    const { backbone, encoder, decoder, denoiser, maps, context } = planParts(config);
    this.backbone = backbone.make();
    this.decoder = decoder.make(context);
    this.encoder = encoder.make(maps);
    this.config = config;
    this.#denoiser = denoiser;
  }

  get weighting(): WeightingParameters {
    return this.config.decoder;
  }

  denoisingQueries(targets: readonly MatchTargets[], draws: DenoisingDraws): DenoisingQueries | undefined {
    return this.#denoiser.queries?.(targets, { classes: this.config.classes.length, draws });
  }

  protected another(): DFineModel {
    return new DFineModel(this.config);
  }

  /** Layers of the decoder start alike, as copies of one. */
  protected stream(name: string): string {
    return name.replace(/^decoder\.decoder\.layers\.\d+/, "decoder.decoder.layers");
  }

  protected simplify(): void {
    this.encoder.fuse?.();
    this.decoder.prune();
  }

  /** @throws ConfigError where the images' size does not suit the model */
  protected forward(images: Tensor, options: ForwardOptions = {}): TrainingOutputs | Predictions {
    checkDFineInput(this.config, [images.shape[2]!, images.shape[3]!]);
    const features = this.backbone.call(images);
    const maps = this.encoder.call(features);
    for (const [i, feature] of features.entries()) options.tap?.(`backbone.${i}`, feature);
    for (const [i, map] of maps.entries()) options.tap?.(`encoder.${i}`, map);
    return this.decoder.call({ ...options, maps });
  }
}
