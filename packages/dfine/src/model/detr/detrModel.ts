import { Embedding, type Sequential } from "@dfine/nn";
import { concat, defineMap, equal, ones, sigmoid, type Tensor, tensor, where } from "@dfine/tensor";
import { ConfigError } from "../../config/errors.ts";
import type { MatchTargets } from "../../loss/matches.ts";
import { denoisingMask } from "../denoising.ts";
import { Detector } from "../detector.ts";
import type { DenoisingDraws, DenoisingQueries, ForwardOptions, Predictions, TrainingOutputs } from "../outputs.ts";
import type { Backbone } from "../parts.ts";
import { trainingOutputs } from "../trainingOutputs.ts";
import type { WeightingParameters } from "../weighting.ts";
import type { TokenEncoder } from "./deformableEncoder.ts";
import { checkDetrInput, type DetrConfig, planDetr } from "./detrConfig.ts";
import type { DetrDecoder } from "./detrDecoder.ts";
import { extentsOf, type Size } from "./extents.ts";
import { Group } from "./group.ts";
import type { Heads } from "./heads.ts";
import type { Neck } from "./neck.ts";
import type { QueryPlan, QuerySource } from "./querySource.ts";

/** Of ImageNet's images, by channel. */
const MEAN = [0.485, 0.456, 0.406];
const STD = [0.229, 0.224, 0.225];

const normalise = defineMap("normaliseImage", (x, mean, std) => x.sub(mean).div(std));

/**
 * A DETR with deformable attention, put together from parts: Deformable DETR, DAB-DETR, DN-DETR, DINO and what lies between
 * them. Images of any sizes, padded at the right and at the bottom to one.
 */
export class DetrModel extends Detector<DetrConfig> {
  readonly backbone: Group[];
  readonly transformer: Group;
  readonly inputProj: readonly Sequential[];
  labelEnc: Embedding | undefined;
  readonly config: DetrConfig;
  protected readonly classNames = {
    embedding: "label_enc.weight",
    heads: /(?:^|\.)(?:class_embed\.\d+|enc_out_class_embed)\.(?:weight|bias)$/,
  };
  override readonly backbonePrefix = "backbone.0.body.";
  readonly #body: Backbone;
  readonly #neck: Neck;
  readonly #encoder: TokenEncoder;
  readonly #source: QuerySource;
  readonly #heads: Heads;
  readonly #decoder: DetrDecoder;
  readonly #queryPlan: QueryPlan;
  readonly #denoiser: ReturnType<typeof planDetr>["denoiser"];

  constructor(config: DetrConfig) {
    super();
    const plan = planDetr(config);
    const { maps, levels, source } = plan;
    const { hiddenDim } = config.neck;
    const classes = config.classes.length;
    const heads = plan.heads();
    this.#heads = heads;
    this.#body = plan.backbone.make();
    this.#neck = plan.neck.make(maps);
    this.#encoder = plan.encoder.make(levels);
    this.#decoder = plan.decoder.make(levels, heads);
    this.#source = source.make({ hiddenDim, classes, heads: heads.ofTokens });
    this.#queryPlan = source;
    this.#denoiser = plan.denoiser;
    this.backbone = [new Group({ body: this.#body })];
    this.transformer = new Group({
      ...{ levelEmbed: this.#encoder.levelEmbedding, encoder: this.#encoder, decoder: this.#decoder },
      ...this.#source.inTransformer,
    });
    this.inputProj = this.#neck.layers;
    this.labelEnc = plan.denoiser.queries
      ? new Embedding(classes + 1, source.indicator ? hiddenDim - 1 : hiddenDim)
      : undefined;
    Object.assign(this, heads.members, this.#source.inModel);
    this.config = config;
  }

  get weighting(): WeightingParameters {
    return this.config.decoder;
  }

  denoisingQueries(targets: readonly MatchTargets[], draws: DenoisingDraws): DenoisingQueries | undefined {
    return this.#denoiser.queries?.(targets, { classes: this.config.classes.length, draws });
  }

  override aliases(): ReadonlyMap<string, string> {
    const names = [...this.stateDict().keys()];
    return new Map(names.flatMap((name) => this.#heads.aliases(name).map((alias): [string, string] => [alias, name])));
  }

  protected another(): DetrModel {
    return new DetrModel(this.config);
  }

  /** Heads of one kind start alike, and so do biases of the layers, as copies of one. */
  protected stream(name: string): string {
    return name
      .replace(/^(class_embed|bbox_embed|dec_bbox_head)\.\d+/, "$1")
      .replace(/^transformer\.enc_out_(class|bbox)_embed|^enc_bbox_head/, (_, kind = "bbox") => `${kind}_embed`)
      .replace(/\.layers\.\d+\.(linear\d\.bias)$/, ".layers.$1");
  }

  protected simplify(): void {
    this.#heads.prune();
    this.labelEnc?.dispose();
    this.labelEnc = undefined;
  }

  /** @throws ConfigError where the images' size does not suit the model */
  protected forward(images: Tensor, options: ForwardOptions = {}): TrainingOutputs | Predictions {
    const { tap, everyLayer = false, selection, validSizes } = options;
    const { backend, shape } = images;
    const whole = [shape[2]!, shape[3]!] as const;
    checkDetrInput(this.config, whole);
    const features = this.#body.call(this.#normalised(images, validSizes));
    for (const [i, feature] of features.entries()) tap?.(`backbone.${i}`, feature);
    const maps = this.#neck.project(features);
    for (const [i, map] of maps.entries()) tap?.(`input_proj.${i}`, map);
    const levels = maps.map(({ shape }) => ({ height: shape[2]!, width: shape[3]! }));
    const extents = extentsOf(validSizes, { whole, levels, backend });
    const memory = this.#encoder.call({ maps, extents, tap });
    const { training } = this;
    const queries = this.#source.queries({ memory, levels, extents, selection, tap, training });
    const denoising = training && options.denoising?.numQueries ? options.denoising : undefined;
    const noisy = denoising ? this.#denoisingParts(denoising) : undefined;
    const ofBatch = (x: Tensor): Tensor => x.expand([shape[0]!, ...x.shape.slice(1)]);
    const joined = (first: Tensor | undefined, x: Tensor) => (first ? concat([first, ofBatch(x)], 1) : ofBatch(x));
    const result = this.#decoder.call({
      content: this.#reached(joined(noisy?.content, queries.content)),
      position: queries.position,
      reference: sigmoid(joined(noisy?.referenceUnact, queries.referenceUnact)),
      ...{ memory, levels, extents, tap, everyLayer },
      attentionBias: noisy?.attentionBias,
    });
    if (!training) {
      const earlier = result.layers.slice(0, -1);
      return { ...result.layers.at(-1)!, ...(everyLayer ? { earlier } : {}) };
    }
    const { chosen, tokens } = queries;
    return trainingOutputs(result, { enc: chosen ? [chosen] : [], ...(tokens ? { tokens } : {}) }, denoising);
  }

  /** Images with ImageNet's mean and deviation taken out, and zeros around them. */
  #normalised(images: Tensor, validSizes: readonly Size[] | undefined): Tensor {
    const { backend, shape } = images;
    const perChannel = (values: readonly number[]) => tensor(values, [1, 3, 1, 1], { backend });
    const x = normalise(images, perChannel(MEAN), perChannel(STD));
    if (!validSizes) return x;
    const inside = (axis: 0 | 1): number[] =>
      validSizes.flatMap((size) => Array.from({ length: shape[2 + axis]! }, (_, i) => (i < size[axis] ? 1 : 0)));
    const batch = validSizes.length;
    return x
      .mul(tensor(inside(0), [batch, 1, shape[2]!, 1], { backend }))
      .mul(tensor(inside(1), [batch, 1, 1, shape[3]!], { backend }));
  }

  /** Contents that the table of labels has a part in, though an empty one, so that it gets a gradient in every step. */
  #reached(content: Tensor): Tensor {
    if (!this.training || !this.labelEnc) return content;
    return content.add(
      this.labelEnc.weight
        .slice([
          { start: 0, end: 1 },
          { start: 0, end: 1 },
        ])
        .mul(0),
    );
  }

  /** What denoising queries bring along, ahead of the ordinary ones. */
  #denoisingParts(queries: DenoisingQueries) {
    if (!this.labelEnc)
      throw new ConfigError(
        "denoising: this model was built without it; choose a model.denoising that makes queries, or pass none",
      );
    const { count, indicator } = this.#queryPlan;
    const { backend } = this.labelEnc.weight;
    const { numQueries, labels, boxesUnact } = queries;
    const shape = [labels.length / numQueries, numQueries];
    const size = numQueries + count;
    const classes = tensor(labels, shape, { backend });
    const rows = this.labelEnc.call(classes);
    const marked = indicator ? concat([rows, ones([...shape, 1], { backend })], -1) : rows;
    return {
      content: where(equal(classes, this.config.classes.length).unsqueeze(2), 0, marked),
      referenceUnact: tensor(boxesUnact, [...shape, 4], { backend }),
      attentionBias: tensor(denoisingMask(queries, count), [size, size], { backend }),
    };
  }
}
