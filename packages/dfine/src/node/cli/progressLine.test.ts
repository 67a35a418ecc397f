import { expect, test } from "vitest";
import type { StepEvent } from "../../train/events.ts";
import { formatDuration, ProgressLine } from "./progressLine.ts";

const step: StepEvent = {
  kind: "step",
  epoch: 1,
  step: 30,
  stepInEpoch: 5,
  stepsPerEpoch: 25,
  stepsInAll: 100,
  losses: { loss_vfl: 0.5, loss_bbox: 1.25, loss_giou: 1, loss_fgl: 0.75, loss_vfl_aux_0: 3 },
  loss: 6.5,
  gradientNorm: 4,
  learningRate: 4e-4,
  images: 8,
  seconds: 2,
  skipped: false,
  replayed: false,
};

test("shows place, terms, speed and time left", () => {
  expect(new ProgressLine().step(step, 4)).toBe(
    "epoch 2/4 · 5/25 · loss 6.50 · vfl 0.500 bbox 1.250 giou 1.000 fgl 0.750 · lr 0.00040 · 4.0 img/s · 2m 20s left",
  );
});

test("counts the evaluations still to come", () => {
  const line = new ProgressLine();
  line.step(step, 4);
  line.epoch({ seconds: 12 } as Parameters<ProgressLine["epoch"]>[0]);
  expect(line.step(step, 4)).toContain("2m 50s left");
});

test("says when a step was skipped", () => {
  expect(new ProgressLine().step({ ...step, loss: Number.NaN, skipped: true }, 4)).toContain("skipped: not finite");
});

test.each([
  [0.4, "0s"],
  [59.6, "1m 0s"],
  [3599, "59m 59s"],
  [7260, "2h 1m"],
])("%d seconds are %s", (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text);
});
