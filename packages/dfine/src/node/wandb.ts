import type { TrainEvent } from "../train/events.ts";
import { loadOptional } from "./optional.ts";
import type { RunEvent } from "./runEvents.ts";

/** What of `@wandb/sdk` is used. */
export interface WandbSdk {
  /** Begins a run there. */
  readonly init: (options: { project: string; name?: string; config?: object }) => Promise<WandbRun>;
}

/** A run at Weights & Biases, as its package gives it. */
export interface WandbRun {
  /** Sends numbers, of a step. */
  readonly log: (data: Record<string, unknown>, step?: number) => void;
  /** Waits until all of it has arrived. */
  readonly finish: () => Promise<void>;
}

/** Where a run's numbers go. */
export interface WandbOptions {
  readonly project: string;
  /** Of the run there. */
  readonly name?: string;
  /** Shown beside the curves. */
  readonly config?: object;
  /** Default: the installed package. */
  readonly sdk?: WandbSdk;
}

/** Sends what happens in a run to Weights & Biases. */
export interface WandbLog {
  /** For `onEvent`: sends steps and epochs. */
  readonly take: (event: RunEvent) => void;
  /** Waits until all of it has arrived. */
  readonly finish: () => Promise<void>;
}

// A name that is not written out is neither looked for by compilers nor packed by bundlers.
const PACKAGE: string = "@wandb/sdk";

const loadSdk = (): Promise<WandbSdk> =>
  loadOptional(
    PACKAGE,
    "logging to Weights & Biases",
    async () => ((await import(/* webpackIgnore: true */ PACKAGE)) as { default: WandbSdk }).default,
  );

/** Its `init` asks to be told of Ctrl-C and then ends the process, before a run could be saved: that is taken back. */
async function keepingSignals<T>(task: () => Promise<T>): Promise<T> {
  const signals = ["SIGINT", "SIGTERM"] as const;
  const before = signals.map((signal) => process.listeners(signal));
  const result = await task();
  for (const [i, signal] of signals.entries())
    for (const listener of process.listeners(signal)) if (!before[i]!.includes(listener)) process.off(signal, listener);
  return result;
}

function numbersOf(event: TrainEvent): Record<string, number> | undefined {
  if (event.kind === "step" && !event.replayed) {
    const { loss, losses, learningRate, gradientNorm } = event;
    return { loss, ...losses, learningRate, gradientNorm };
  }
  if (event.kind === "epoch")
    return { epoch: event.epoch + 1, "epoch loss": event.loss, ...event.evaluation?.result.stats };
  return undefined;
}

const isTraining = (event: RunEvent): event is TrainEvent => event.kind === "step" || event.kind === "epoch";

/**
 * Begins a run at Weights & Biases, with the key that WANDB_API_KEY or its own login gives; `take` is for `onEvent`.
 * @throws MissingPackageError where `@wandb/sdk` is not installed
 */
export async function wandbLog({ sdk, ...options }: WandbOptions): Promise<WandbLog> {
  const { init } = sdk ?? (await loadSdk());
  const run = await keepingSignals(() => init(options));
  return {
    take(event) {
      const numbers = isTraining(event) ? numbersOf(event) : undefined;
      if (numbers) run.log(numbers, "step" in event ? event.step : undefined);
    },
    finish: () => run.finish(),
  };
}
