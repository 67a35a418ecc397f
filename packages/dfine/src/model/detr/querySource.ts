import type { Module } from "@dfine/nn";
import type { Tensor } from "@dfine/tensor";
import type { LevelSize } from "../levelCache.ts";
import type { PredictionSet, Tap } from "../outputs.ts";
import type { Extents } from "./extents.ts";
import type { Members } from "./group.ts";
import type { HeadPair } from "./heads.ts";

/** What queries may be made of. */
export interface QueryInput {
  /** The encoder's tokens [B, N, D]. */
  readonly memory: Tensor;
  readonly levels: readonly LevelSize[];
  readonly extents: Extents | undefined;
  /** Which tokens are taken [B, Q], i32, best first; by default the best. */
  readonly selection: Tensor | undefined;
  readonly tap: Tap | undefined;
  /** Whether predictions for tokens are wanted too. */
  readonly training: boolean;
}

/** Queries as they enter the decoder. */
export interface Queries {
  /** [B or 1, Q, D] */
  readonly content: Tensor;
  /** Added where queries are compared [B or 1, Q, D]; undefined where it follows from their boxes. */
  readonly position?: Tensor;
  /** What they look around at first, before the sigmoid: boxes [B or 1, Q, 4] or points [B or 1, Q, 2]. */
  readonly referenceUnact: Tensor;
  /** Predictions that became the queries; or, where all learn, those for all tokens, whatever their class. */
  readonly chosen?: PredictionSet;
  readonly tokens?: PredictionSet;
}

/** Makes queries; its modules have their places among those of the model and of its transformer. */
export interface QuerySource {
  readonly inModel: Members;
  readonly inTransformer: Members;
  queries(input: QueryInput): Queries;
}

/** What a source is made for. */
export interface QueryContext {
  readonly hiddenDim: number;
  readonly classes: number;
  /** For a source that has tokens judged by heads like those of the decoder's layers. */
  readonly heads: HeadPair | undefined;
}

/** A source whose configuration is known. */
export interface QueryPlan {
  readonly count: number;
  /** Numbers of a reference: of a box, or of a point. */
  readonly reference: 4 | 2;
  /** Whether queries bring a position of their own. */
  readonly fixesPosition: boolean;
  /** Whether they are chosen among tokens, and whether by heads like those of the decoder's layers. */
  readonly chooses: "no" | "own heads" | "layer heads";
  /** Whether the last feature of each query tells whether it is a denoising one: they have one feature less of their own. */
  readonly indicator: boolean;
  make(context: QueryContext): QuerySource;
}

/** Rows of a table [Q, D] as queries [1, Q, D]. */
export const rowsOf = ({ weight }: Module & { readonly weight: Tensor }): Tensor => weight.unsqueeze(0);
