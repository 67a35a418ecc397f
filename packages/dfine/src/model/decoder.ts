import { buffer, Embedding, LayerNorm, Linear, Mlp, Module, parameter, Sequential, xavierUniform } from "@dfine/nn";
import { concat, noGrad, scope, sigmoid, type Tensor, tensor, where } from "@dfine/tensor";
import { ConfigError } from "../config/errors.ts";
import { anchorOps, anchorTensors } from "./anchors.ts";
import { BOX_HEADS } from "./boxRefiner.ts";
import { ConvNorm } from "./convNorm.ts";
import { type DecoderConfig, decoderSchema, evalLayerIndex } from "./decoderConfig.ts";
import { DecoderStack, keepOnly } from "./decoderStack.ts";
import { denoisingMask } from "./denoising.ts";
import { LevelCache, type LevelSize } from "./levelCache.ts";
import type { DenoisingQueries, Predictions, Tap, TrainingOutputs } from "./outputs.ts";
import { broken, type Decoder, type DecoderContext, type DecoderInput, type Part, type Plan } from "./parts.ts";
import { gatherTokens, QUERY_SOURCES } from "./querySelection.ts";
import { trainingOutputs } from "./trainingOutputs.ts";

/** Logit of the probability 0.01: few queries hold an object of a given class. */
const SCORE_BIAS = -Math.log((1 - 0.01) / 0.01);

/** Chooses queries among the encoder's tokens and refines them layer by layer. D-FINE's `DFINETransformer`. */
export class DFineDecoder extends Module<[input: DecoderInput], TrainingOutputs | Predictions> {
  readonly up: Tensor;
  readonly regScale: Tensor;
  readonly anchors: Tensor;
  readonly validMask: Tensor;
  readonly inputProj: (ConvNorm | undefined)[];
  readonly decoder: DecoderStack;
  readonly denoisingClassEmbed: Embedding | undefined;
  readonly tgtEmbed: Embedding | undefined;
  readonly queryPosHead: Mlp;
  /** What all tokens pass before the encoder's heads. */
  readonly encOutput: Sequential;
  readonly encScoreHead: Linear;
  readonly encBboxHead: Mlp;
  readonly decScoreHead: (Linear | undefined)[];
  readonly preBboxHead: Mlp | undefined;
  readonly decBboxHead: (Mlp | undefined)[];
  readonly #config: DecoderConfig;
  readonly #anchors: LevelCache<[anchors: Tensor, valid: Tensor]>;

  constructor(decoder: DecoderConfig, { classes, denoises, evalSize, levels }: DecoderContext) {
    super();
    const { hiddenDim, regScale, numQueries, querySelect, boxHead, learnWeighting } = decoder;
    const each = <T>(make: () => T): T[] => Array.from({ length: decoder.layers }, make);
    const { features, distributions } = BOX_HEADS[boxHead];
    const boxMlp = (outputs: number): Mlp =>
      new Mlp(hiddenDim, outputs, { layers: 3, hidden: hiddenDim, last: { weightInit: 0, biasInit: 0 } });
    const scoreHead = (outputs: number): Linear => new Linear(hiddenDim, outputs, { biasInit: SCORE_BIAS });
    this.#config = decoder;
    const { anchorMargin } = decoder;
    this.#anchors = new LevelCache(
      (sizes) => anchorTensors(sizes, anchorMargin),
      (sizes) => anchorOps(sizes, anchorMargin),
    );
    const [anchors, valid] = this.#anchors.get(
      levels.map(({ stride }) => ({ height: evalSize[0] / stride, width: evalSize[1] / stride })),
    );
    this.up = parameter([1], decoder.up, { trainable: learnWeighting });
    this.regScale = parameter([1], regScale, {
      dtype: Number.isInteger(regScale) && !learnWeighting ? "i32" : "f32",
      trainable: learnWeighting,
    });
    this.anchors = buffer(anchors, { derived: true });
    this.validMask = buffer(valid, { derived: true });
    this.inputProj = levels.map(({ channels }) =>
      decoder.inputProjection === "differing" && channels === hiddenDim
        ? undefined
        : new ConvNorm(channels, hiddenDim, { kernel: 1, weightInit: xavierUniform }),
    );
    this.decoder = new DecoderStack(decoder, this);
    this.denoisingClassEmbed = denoises ? new Embedding(classes + 1, hiddenDim, { paddingIndex: classes }) : undefined;
    this.tgtEmbed = decoder.learnQueryContent
      ? new Embedding(numQueries, hiddenDim, { init: xavierUniform })
      : undefined;
    this.queryPosHead = new Mlp(4, hiddenDim, {
      layers: 2,
      hidden: 2 * hiddenDim,
      all: { weightInit: xavierUniform },
    });
    this.encOutput = new Sequential({
      proj: new Linear(hiddenDim, hiddenDim, { weightInit: xavierUniform }),
      norm: new LayerNorm(hiddenDim),
    });
    this.encScoreHead = scoreHead(QUERY_SOURCES[querySelect].logits(classes));
    this.encBboxHead = boxMlp(4);
    this.decScoreHead = each(() => scoreHead(classes));
    this.preBboxHead = distributions ? boxMlp(4) : undefined;
    this.decBboxHead = each(() => boxMlp(features(decoder)));
  }

  protected forward({ maps, denoising, tap, everyLayer = false }: DecoderInput): TrainingOutputs | Predictions {
    const projected = maps.map((map, i) => this.inputProj[i]?.call(map) ?? map);
    const levels = projected.map(({ shape }) => ({ height: shape[2]!, width: shape[3]! }));
    const memory = concat(
      projected.map((map) => map.flatten(2).transpose(1, 2)),
      1,
    );
    const queries = this.#select(memory, { levels, tap });
    const added = this.training && denoising?.numQueries ? this.#denoisingParts(denoising) : undefined;
    const joined = (first: Tensor | undefined, second: Tensor) => (first ? concat([first, second], 1) : second);
    const result = this.decoder.call({
      content: joined(added?.content, queries.content),
      referenceUnact: joined(added?.referenceUnact, queries.boxesUnact.detach()),
      memory,
      levels,
      attentionBias: added?.attentionBias,
      heads: this,
      tap,
      everyLayer,
    });
    const { up, regScale } = this;
    const learned = this.#config.learnWeighting ? { weighting: { up, regScale } } : {};
    if (!this.training) {
      const earlier = result.layers.slice(0, -1);
      return { ...result.layers.at(-1)!, ...(everyLayer ? { earlier } : {}), ...learned };
    }
    const enc = { logits: this.encScoreHead.call(queries.tokens), boxes: sigmoid(queries.boxesUnact) };
    return { ...trainingOutputs(result, { enc: [enc] }, denoising), ...learned };
  }

  /** Chooses Q of the tokens in `memory` [B, N, D]. */
  #select(memory: Tensor, { levels, tap }: { levels: readonly LevelSize[]; tap: Tap | undefined }) {
    const { querySelect, numQueries } = this.#config;
    const [anchors, valid] = this.#anchors.get(levels);
    const masked = where(valid, memory, 0);
    // Only the chosen tokens get a gradient, so only they pass the heads again with a tape.
    const { indices, values } = noGrad(() =>
      scope("query selection", () =>
        QUERY_SOURCES[querySelect].select(this.encScoreHead.call(this.encOutput.call(masked)), numQueries),
      ),
    );
    tap?.("topk_index", indices);
    tap?.("topk_score", values);
    const tokens = this.encOutput.call(gatherTokens(masked, indices));
    const boxesUnact = this.encBboxHead.call(tokens).add(gatherTokens(anchors, indices));
    const content = this.tgtEmbed?.weight.unsqueeze(0).expand(tokens.shape) ?? tokens.detach();
    return { tokens, content, boxesUnact };
  }

  /** What denoising queries bring along, ahead of the ordinary ones. */
  #denoisingParts(queries: DenoisingQueries) {
    if (!this.denoisingClassEmbed)
      throw new ConfigError(
        "denoising: this model was built without it; set model.denoising.numDenoising above 0 or pass no denoising queries",
      );
    const { backend } = this.up;
    const { numQueries, labels, boxesUnact } = queries;
    const shape = [labels.length / numQueries, numQueries];
    const size = numQueries + this.#config.numQueries;
    const bias = denoisingMask(queries, this.#config.numQueries);
    return {
      content: this.denoisingClassEmbed.call(tensor(labels, shape, { backend })),
      referenceUnact: tensor(boxesUnact, [...shape, 4], { backend }),
      attentionBias: tensor(bias, [size, size], { backend }),
    };
  }

  prune(): void {
    const kept = evalLayerIndex(this.#config);
    this.decoder.prune();
    keepOnly(this.decScoreHead, kept);
    for (const head of this.decBboxHead.splice(kept + 1)) head?.dispose();
  }

  override dispose(): void {
    super.dispose();
    this.#anchors[Symbol.dispose]();
  }
}

function problems(config: DecoderConfig, levels: number): string[] {
  const { points, hiddenDim, heads, evalLayer, layers } = config;
  const last = evalLayerIndex(config);
  return broken([
    [points.length === levels, `points has ${points.length} entries for ${levels} levels; give one for each`],
    [hiddenDim % heads === 0, `hiddenDim ${hiddenDim} must be a multiple of ${heads} heads`],
    [last >= 0 && last < layers, `evalLayer ${evalLayer} is none of the ${layers} layers`],
  ]).map((problem) => `model.decoder.${problem}`);
}

export const dfineDecoder: Part<typeof decoderSchema, Plan<DecoderContext, Decoder>> = {
  schema: decoderSchema,
  defaults: (levels) => ({
    type: "dfine",
    ...{ hiddenDim: 256, feedForwardDim: 1024, heads: 8, layers: 6, evalLayer: -1 },
    ...{ points: Array.from({ length: levels }, () => 4), offsetScale: 0.5, crossAttention: "default", fusion: "gate" },
    ...{ attentionProjections: false, inputProjection: "differing" },
    ...{ numQueries: 300, querySelect: "default", learnQueryContent: false, anchorMargin: 1e-2 },
    ...{ boxHead: "distribution", regMax: 32, regScale: 4, up: 0.5, learnWeighting: false },
  }),
  plan: (config) => ({
    problems: ({ levels }) => problems(config, levels.length),
    make: (context) => new DFineDecoder(config, context),
  }),
};
