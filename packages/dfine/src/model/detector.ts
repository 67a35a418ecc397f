import { countTogether, initialize, Module } from "@dfine/nn";
import type { Random, Tensor } from "@dfine/tensor";
import { ConfigError } from "../config/errors.ts";
import type { Resize } from "../data/inputFit.ts";
import type { MatchTargets } from "../loss/matches.ts";
import type { DenoisingDraws, DenoisingQueries, ForwardOptions, Predictions, TrainingOutputs } from "./outputs.ts";
import type { WeightingParameters } from "./weighting.ts";

/** What the configurations of all detectors have. */
export interface DetectorConfig {
  readonly architecture: string;
  readonly classes: readonly string[];
  /** Input height and width outside multi-scale training, pixels. */
  readonly evalSize: readonly [number, number];
  /** How images come to the input size. */
  readonly resize: Resize;
  /** Detections per image. */
  readonly numTopQueries: number;
}

/** Rows of a tensor that has one for each class. */
export interface ClassRows {
  /** Rows after those of the classes. */
  readonly extra: number;
  /** Only training reads it: model and file may be without. */
  readonly optional: boolean;
}

/**
 * What is trained, evaluated and saved: a network that turns images [B, 3, H, W] (RGB / 255) into a set of boxes with
 * class logits. Its weights are zeros until `initialize` or `loadStateDict`.
 */
export abstract class Detector<Config extends DetectorConfig = DetectorConfig> extends Module<
  [images: Tensor, options?: ForwardOptions],
  TrainingOutputs | Predictions
> {
  abstract readonly config: Config;
  /** W(n) of its edge distributions. */
  abstract readonly weighting: WeightingParameters;
  /** What names of the backbone's tensors begin with. */
  readonly backbonePrefix: string = "backbone.";
  #isDeployed = false;

  /** Noisy queries for a training step, from its targets; undefined where the detector learns without them. */
  abstract denoisingQueries(targets: readonly MatchTargets[], draws: DenoisingDraws): DenoisingQueries | undefined;
  /** Names in the state dict: of the contents of noisy queries by their label, and of what the class heads consist of. */
  protected abstract readonly classNames: { readonly embedding: string; readonly heads: RegExp };
  /** Other names that tensors have in files of PyTorch's code, with the ones that they have here. */
  aliases(): ReadonlyMap<string, string> {
    return new Map();
  }
  /** An untrained detector of the same configuration. */
  protected abstract another(): Detector<Config>;
  /** Joins layers and drops what only training uses, for good. */
  protected abstract simplify(): void;
  /** The random stream of a parameter's first values: parameters that share one start alike. */
  protected abstract stream(name: string): string;

  /** Tensors with a row per class, by their names in the state dict. */
  classTensors(): ReadonlyMap<string, ClassRows> {
    const { embedding, heads } = this.classNames;
    const names = [...this.stateDict().keys()].filter((name) => heads.test(name));
    return new Map([
      [embedding, { extra: 1, optional: true }],
      ...names.map((name): [string, ClassRows] => [name, { extra: 0, optional: false }]),
    ]);
  }

  /** Gives all parameters their first values. */
  initialize(random: Random): this {
    initialize(this, random, { stream: (name) => this.stream(name) });
    return this;
  }

  /** What the criterion judges. @throws ConfigError outside training mode, or where the images' size does not suit */
  trainingOutputs(images: Tensor, options: ForwardOptions = {}): TrainingOutputs {
    const outputs = countTogether(() => this.call(images, options));
    if ("last" in outputs) return outputs;
    throw new ConfigError("model: training outputs were asked of a model in evaluation mode; call train() first");
  }

  /**
   * Logits [B, Q, C] and boxes [B, Q, 4] (cxcywh in 0–1). @throws ConfigError in training mode, for an unsuitable size, or where
   * every layer is asked of a deploy form
   */
  predictions(images: Tensor, options: ForwardOptions = {}): Predictions {
    if (options.everyLayer && this.#isDeployed)
      throw new ConfigError(
        "model: the deploy form has the heads of its last layer alone; ask the model it was made from for every layer",
      );
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

  /** Turns this detector into its deploy form, for good: see `deploy`. */
  fuse(): this {
    this.eval();
    this.#isDeployed = true;
    this.simplify();
    return this.freeze();
  }

  /** A copy for inference, with layers joined and without what only training uses. Same outputs up to rounding. */
  deploy(): Detector<Config> {
    const copy = this.another();
    copy.loadStateDict(this.stateDict());
    return copy.fuse();
  }
}
