import { DatasetError } from "../data/errors.ts";
import { type DatasetFacts, datasetFacts } from "../data/facts.ts";
import { firstOf } from "../describe.ts";
import type { TrainData } from "./batch.ts";
import type { LearnedFrom } from "./stateFile.ts";
import type { Trainer } from "./trainer.ts";

type Standing = Pick<Trainer, "config" | "progress" | "learnedFrom">;

/**
 * Makes sure that a run can go on with `data`, and has the trainer remember it: other categories cannot be learned by the
 * same heads, and an epoch of other images has no position to go on from. Gives what the user should know of other changes.
 * A state that remembers nothing is compared with what its configuration and its count of steps tell.
 * @throws DatasetError naming the difference and the remedy
 */
export function takeUpData(trainer: Standing, { train, val }: TrainData): string[] {
  const now: LearnedFrom = {
    stepsPerEpoch: train.batchesPerEpoch,
    train: train.dataset && datasetFacts(train.dataset),
    val: val && datasetFacts(val.dataset),
  };
  const file = train.dataset?.file ?? "training data";
  const notes = trainer.progress.step === 0 ? [] : differences(trainer, { now, file });
  trainer.learnedFrom = now;
  return notes;
}

const NEW_RUN = "start a new run from this one's weights: dfine train --weights, with the run's folder";

/** What differs, in sentences. @throws DatasetError where the run cannot go on */
function differences(
  { progress, config, learnedFrom: before }: Standing,
  { now, file }: { now: LearnedFrom; file: string },
): string[] {
  checkLabels(now.train?.categories, { learned: before?.train?.categories ?? config.model.classes, file });
  const { epoch, step, stepInEpoch, best } = progress;
  const counted = (step - stepInEpoch) / epoch;
  const steps = before?.stepsPerEpoch ?? (Number.isInteger(counted) ? counted : undefined);
  const other = (a: number | undefined, b: number | undefined) => a !== undefined && b !== undefined && a !== b;
  const isOther = other(steps, now.stepsPerEpoch) || other(before?.train?.images, now.train?.images);
  const size = (facts: DatasetFacts | undefined, perEpoch: number) =>
    `${facts ? `${facts.images} images and ` : ""}${perEpoch} steps an epoch`;
  const then = steps === undefined ? "" : size(before?.train, steps);
  if (stepInEpoch > 0 && (isOther || stepInEpoch > now.stepsPerEpoch))
    throw new DatasetError(
      file,
      `has ${size(now.train, now.stepsPerEpoch)}, but the run stopped after step ${stepInEpoch} of epoch ${epoch + 1}${then && ` with ${then}`}`,
      `Give the images that it began with, or ${NEW_RUN}.`,
    );
  const notes: string[] = [];
  if (isOther)
    notes.push(`${file}: epoch ${epoch + 1} goes on with ${size(now.train, now.stepsPerEpoch)}, before it had ${then}`);
  else if (before?.train && now.train && before.train.digest !== now.train.digest)
    notes.push(
      `${file}: its images or boxes are not those that the run has learned from so far; it goes on with these`,
    );
  if (before && before.val?.digest !== now.val?.digest) {
    const { bestBy } = config.train;
    const lost = best ? `, so the best ${bestBy} so far, ${best.value.toFixed(3)}, no longer counts` : "";
    notes.push(`the validation data is not what it was${lost}`);
    progress.best = null;
    progress.cycle.best = null;
    progress.watched.best = null;
  }
  return notes;
}

/** @throws DatasetError where a label means another class than the run has learned */
function checkLabels(
  own: readonly string[] | undefined,
  { learned, file }: { learned: readonly string[]; file: string },
): void {
  if (!own) return;
  const label = [...(own.length > learned.length ? own : learned).keys()].find((i) => own[i] !== learned[i]);
  if (label === undefined) return;
  const said = (name: string | undefined) => (name === undefined ? "nothing" : JSON.stringify(name));
  throw new DatasetError(
    file,
    `label ${label} is ${said(own[label])}, but the run learned it as ${said(learned[label])}`,
    `Give the categories that it began with (${firstOf(learned)}), or ${NEW_RUN}.`,
  );
}
