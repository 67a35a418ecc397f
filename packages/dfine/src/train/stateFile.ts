import type { HostTensor } from "@dfine/nn";
import * as z from "zod";
import { ModelFileError } from "../checkpoint/errors.ts";
import { count } from "../config/numbers.ts";
import { datasetFactsSchema } from "../data/facts.ts";
import { parseJson } from "../parseJson.ts";
import { readSealed, writeSealed } from "../sealedFile.ts";
import { hostTensors, tensorSources } from "../tensorFile.ts";
import { parseProgress, type TrainProgress } from "./progress.ts";

const learnedFromSchema = z.object({
  stepsPerEpoch: count,
  /** Absent where the batches do not say of what they are. */
  train: datasetFactsSchema.optional(),
  /** Absent without validation data. */
  val: datasetFactsSchema.optional(),
});

/** What a run learns from, as its state remembers it. @interface */
export type LearnedFrom = z.infer<typeof learnedFromSchema>;

/** Everything that a training run is at some moment, on the host. Random numbers follow from the progress. */
export interface TrainStateValues {
  readonly model: ReadonlyMap<string, HostTensor>;
  /** Empty where nothing is averaged. */
  readonly ema: ReadonlyMap<string, HostTensor>;
  readonly emaUpdates: number;
  readonly optimizer: ReadonlyMap<string, HostTensor>;
  readonly progress: TrainProgress;
  /** Absent before the first step, and in states of versions that did not remember it. */
  readonly learnedFrom?: LearnedFrom | undefined;
  /** The run's configuration, as JSON has it; absent in states of versions that did not keep it. */
  readonly config?: unknown;
}

const FORMAT = "dfine-training-state";
const PARTS = ["model", "ema", "optimizer"] as const;

/** The state as one safetensors file with a checksum; numbers that are no tensors are JSON in its metadata. */
export function writeTrainState(state: TrainStateValues): Uint8Array {
  const tensors = new Map(PARTS.flatMap((part) => [...tensorSources(state[part], `${part}.`)]));
  const { emaUpdates, progress, learnedFrom, config } = state;
  return writeSealed(
    tensors,
    new Map([
      ["format", FORMAT],
      ["emaUpdates", String(emaUpdates)],
      ["progress", JSON.stringify(progress)],
      ...(learnedFrom ? [["learnedFrom", JSON.stringify(learnedFrom)] as const] : []),
      ...(config ? [["config", JSON.stringify(config)] as const] : []),
    ]),
  );
}

/** Reads what `writeTrainState` wrote. `file` names it in messages. @throws ModelFileError, SafetensorsError */
export function readTrainState(bytes: Uint8Array, file = "training state"): TrainStateValues {
  const { metadata, entries } = readSealed(bytes, file);
  if (metadata.get("format") !== FORMAT)
    throw new ModelFileError(`${file}: holds no training state; resume from the run folder that dfine train made`);
  const tensorsOf = (part: (typeof PARTS)[number]) => hostTensors(entries, `${part}.`);
  const emaUpdates = Number(metadata.get("emaUpdates") || Number.NaN);
  const progress = parseProgress(metadata.get("progress") ?? "");
  const remembered = metadata.get("learnedFrom") ?? "null";
  const config = parseJson(metadata.get("config") ?? "");
  const learnedFrom = learnedFromSchema.nullable().safeParse(parseJson(remembered)).data;
  if (!progress || learnedFrom === undefined || !Number.isSafeInteger(emaUpdates) || emaUpdates < 0)
    throw new ModelFileError(
      `${file}: its record of the steps done is damaged; start a new run from its weights, as with --weights weights/last.safetensors`,
    );
  return {
    ...{ model: tensorsOf("model"), ema: tensorsOf("ema"), optimizer: tensorsOf("optimizer") },
    ...{ emaUpdates, progress, learnedFrom: learnedFrom ?? undefined, config },
  };
}
