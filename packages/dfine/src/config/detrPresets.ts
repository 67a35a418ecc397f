import { contrastive } from "../model/denoising.ts";
import { deformable } from "../model/detr/deformableEncoder.ts";
import type { DetrConfig } from "../model/detr/detrConfig.ts";
import { decoder } from "../model/detr/detrDecoder.ts";
import { projection } from "../model/detr/neck.ts";
import { proposals } from "../model/detr/proposals.ts";
import { anchors, points } from "../model/detr/tables.ts";
import { dino, dn } from "../model/repeatedDenoising.ts";
import { resnet50 } from "../model/resnet.ts";
import type { DetrPresetName } from "./names.ts";

/** What distinguishes the DETRs of the paper's Table 2, beside the defaults of their parts. */
interface DetrRow {
  readonly feedForwardDim: number;
  /** Temperature and offset of the position embedding. */
  readonly position?: readonly [temperature: number, offset: number];
  readonly queries: DetrConfig["queries"];
  readonly decoder: Partial<DetrConfig["decoder"]>;
  readonly denoising?: DetrConfig["denoising"];
  readonly numTopQueries: number;
}

/** Levels of the backbone that are used. */
const LEVELS = 3;
const NO_DENOISING = { ...contrastive.defaults(LEVELS), numDenoising: 0 };

const MODELS: Record<DetrPresetName, DetrRow> = {
  "deformable-detr-plain": {
    feedForwardDim: 1024,
    queries: points.defaults(LEVELS),
    decoder: { queryPosition: "fixed", boxHead: "fixed", sharedHeads: true, epsilon: 1e-5 },
    numTopQueries: 100,
  },
  "deformable-detr": {
    feedForwardDim: 1024,
    queries: proposals.defaults(LEVELS),
    decoder: { queryPosition: "fixed", epsilon: 1e-5 },
    numTopQueries: 100,
  },
  "dab-detr": {
    feedForwardDim: 2048,
    queries: anchors.defaults(LEVELS),
    decoder: {},
    numTopQueries: 100,
  },
  "dn-detr": {
    feedForwardDim: 2048,
    queries: { ...anchors.defaults(LEVELS), indicator: true },
    decoder: {},
    denoising: dn.defaults(LEVELS),
    numTopQueries: 100,
  },
  dino: {
    feedForwardDim: 2048,
    position: [20, 0],
    queries: { ...proposals.defaults(LEVELS), count: 900, score: "best", content: "table" },
    decoder: { queryPosition: "sine", boxHead: "delta", sharedHeads: true, finalNorm: true },
    denoising: dino.defaults(LEVELS),
    numTopQueries: 300,
  },
};

/** The model of a preset. */
export function detrModel(preset: DetrPresetName, classes: readonly string[]): DetrConfig {
  const { feedForwardDim, position, queries, denoising = NO_DENOISING, numTopQueries, ...row } = MODELS[preset];
  const encoder = deformable.defaults(LEVELS);
  const [positionTemperature, positionOffset] = position ?? [encoder.positionTemperature, encoder.positionOffset];
  return {
    architecture: "detr",
    classes: [...classes],
    evalSize: [800, 1333],
    resize: "shortestEdge",
    backbone: { ...resnet50.defaults(LEVELS), freezeAt: 1, freezeNorm: true },
    neck: projection.defaults(LEVELS),
    encoder: { ...encoder, feedForwardDim, positionTemperature, positionOffset },
    queries,
    decoder: { ...decoder.defaults(LEVELS), feedForwardDim, ...row.decoder },
    denoising,
    numTopQueries,
  };
}
