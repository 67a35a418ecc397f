import { formatCocoStats } from "../../evaluation/cocoStats.ts";
import type { EpochEvent, StageEvent } from "../../train/events.ts";
import { readable } from "../../train/memoryAdvice.ts";
import type { EstimateEvent, RunSink } from "../runEvents.ts";
import { formatDuration, ProgressLine } from "./progressLine.ts";
import type { Terminal } from "./terminal.ts";

/** Warnings for single images; beyond that they are only counted, and logged. */
const WARNINGS = 10;

/** Tells on a terminal what happens in a run of so many epochs: a line of progress, results, warnings. */
export function runTerminal(terminal: Terminal, epochs = 0): RunSink {
  const line = new ProgressLine();
  let leftOut = 0;
  return (event) => {
    switch (event.kind) {
      case "started":
        return terminal.note(`run folder: ${event.run.path}`);
      case "estimate":
        terminal.data(event);
        return terminal.note(estimateText(event));
      case "step":
        return terminal.progress(line.step(event, epochs));
      case "epoch":
        line.epoch(event);
        return tellEpoch(terminal, event, epochs);
      case "stage":
        terminal.data({ ...event, epoch: event.epoch + 1 });
        return event.from === undefined
          ? terminal.warn(`${stageText(event)}; there is no state of stage 1 to go back to, so it goes on from here`)
          : terminal.say(`${stageText(event)}; from the weights after epoch ${event.from} again`);
      case "recovery": {
        const { lostAt, step, reason } = event;
        terminal.data({ ...event, epoch: event.epoch + 1 });
        return terminal.warn(
          `the device was lost after step ${lostAt}; going on after step ${step} on a new one (${reason})`,
        );
      }
      case "left out":
        leftOut++;
        if (leftOut <= WARNINGS) terminal.warn(`left out: ${event.image.message}`);
        if (leftOut === WARNINGS) terminal.warn("further images that are left out are only counted");
        return;
      case "warning":
        return terminal.warn(event.text);
      default:
        event satisfies never;
    }
  };
}

const estimateText = ({ secondsPerStep, steps, bytes }: EstimateEvent): string =>
  `a step takes about ${secondsPerStep.toPrecision(2)} s and ${readable(bytes)}, as tried without learning from it: ${steps} steps in about ${formatDuration(steps * secondsPerStep)}, evaluations not counted`;

const stageText = ({ restarts, emaDecay }: StageEvent): string =>
  `stage 2 ${restarts === 0 ? "begins, without strong augmentation" : `begins anew (${restarts})`}; decay of the average ${emaDecay}`;

function tellEpoch(terminal: Terminal, event: EpochEvent, epochs: number): void {
  const { epoch, loss, evaluation, best, seconds, step } = event;
  const stats = evaluation?.result.stats;
  terminal.data({ kind: "epoch", epoch: epoch + 1, step, loss, seconds, best, ...(stats ? { stats } : {}) });
  const isBest = best && stats && stats.AP > 0 ? " (best)" : "";
  const ap = stats ? ` · AP ${stats.AP.toFixed(3)} · AP50 ${stats.AP50.toFixed(3)}${isBest}` : "";
  terminal.say(`epoch ${epoch + 1}/${epochs} · loss ${loss.toFixed(2)}${ap} · ${seconds.toFixed(0)} s`);
  if (stats) terminal.note(formatCocoStats(stats));
}
