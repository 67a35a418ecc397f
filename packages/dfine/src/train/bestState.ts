import type { StageEvent } from "./events.ts";
import { beginsStage, emaDecayAt } from "./stages.ts";
import type { Trainer } from "./trainer.ts";

/** Keeps the state of the best epoch of stage 1, from which stage 2 begins. */
export interface BestState {
  /** Replaces what is kept by what `Trainer.saveState` gave. */
  readonly save: (state: Uint8Array) => Promise<void>;
  /** What was saved last; undefined where nothing was. */
  readonly load: () => Promise<Uint8Array | undefined>;
}

/** Keeps it in memory: gone with the process. */
export function bestInMemory(): BestState {
  let kept: Uint8Array | undefined;
  return {
    async save(state) {
      kept = state;
    },
    load: async () => kept,
  };
}

/**
 * Begins stage 2, or begins it anew after an epoch that fell behind: from the best state of stage 1, with the steps counted
 * on. Elsewhere it does nothing. Doing it twice at the same point is doing it once. det_solver.py of D-FINE.
 */
export async function enterStage(trainer: Trainer, best: BestState): Promise<StageEvent | undefined> {
  const { config, progress } = trainer;
  if (!beginsStage(config, progress)) return undefined;
  const { epoch, step, cycle } = progress;
  const state = await best.load();
  const from = state && (await trainer.goBackTo(state)).epoch;
  return { kind: "stage", epoch, step, from, restarts: cycle.restarts, emaDecay: emaDecayAt(config, progress) };
}
