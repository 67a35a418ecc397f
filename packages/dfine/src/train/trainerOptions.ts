import type { Backend } from "@dfine/tensor";
import type { BackboneWeights } from "../checkpoint/backbone.ts";
import type { Checkpoint } from "../checkpoint/open.ts";
import type { Config } from "../config/config.ts";
import * as rule from "../optionRules.ts";

/** What a run is and where it runs. */
export interface TrainerOptions {
  readonly config: Config;
  /** Stays the caller's. */
  readonly backend: Backend;
  /**
   * Makes a backend in place of one whose device was lost, which it disposes; the new one is the caller's too. Without it
   * the trainer keeps no snapshots, and a lost device ends training.
   */
  readonly reviveBackend?: (lost: Backend) => Promise<Backend>;
}

/** Where a new run starts. */
export interface CreateTrainerOptions extends TrainerOptions {
  /** Weights of a whole detector. */
  readonly initial?: Checkpoint;
  /** Weights of its backbone alone, as `openBackbone` reads them. */
  readonly backbone?: BackboneWeights;
}

export const TRAINER_OPTIONS: rule.OptionRules<TrainerOptions> = {
  config: rule.needed(rule.wholeConfig),
  backend: rule.needed(rule.someBackend),
  reviveBackend: rule.callable,
};
