import { counted } from "../../describe.ts";
import type { ResolvedDevice } from "../../device.ts";
import { overfit } from "../../train/overfit.ts";
import { trainLoaders } from "../data/trainLoaders.ts";
import { EXIT } from "./exit.ts";
import { watchInterrupt } from "./interrupt.ts";
import { openDevice } from "./openDetector.ts";
import type { Terminal } from "./terminal.ts";
import type { Job, TrainValues } from "./trainJob.ts";

/** Learns one batch of a job by heart, and says whether that went well. */
export async function overfitCommand(
  { config, datasets, makeTrainer }: Job,
  values: TrainValues,
  { terminal, tried }: { terminal: Terminal; tried: ResolvedDevice | undefined },
): Promise<number> {
  using interrupt = watchInterrupt(() => terminal.warn("stopping after this step"));
  using device = tried ?? (await openDevice(values, terminal));
  using trainer = await makeTrainer(device);
  const { dataset } = datasets.train!;
  using data = trainLoaders(config, { train: datasets.train!, workers: 0 });
  const { signal } = interrupt;
  try {
    const result = await overfit({
      ...{ trainer, source: data.train, dataset, maxSteps: values.steps, signal },
      onEvent: (event) => {
        if (event.kind === "step")
          terminal.progress(`learning one batch · step ${event.step} · loss ${event.loss.toFixed(2)}`);
        if (event.kind === "epoch")
          terminal.note(
            `step ${event.step}: loss ${event.loss.toFixed(2)}, AP50 ${event.evaluation!.result.stats.AP50.toFixed(3)}`,
          );
      },
    });
    const { learned, steps, firstLoss, loss, ap50, imageIds } = result;
    const files = dataset.images.filter(({ id }) => imageIds.includes(id)).map(({ fileName }) => fileName);
    const facts = `after ${counted(steps, "step")} on one batch the loss went from ${firstLoss.toFixed(2)} to ${loss.toFixed(2)}, and AP50 on it is ${ap50.toFixed(3)}`;
    terminal.data({ kind: "overfit", ...result, files });
    terminal.say(
      learned
        ? `the data can be learned: ${facts}`
        : `the batch was not learned: ${facts}\nlook at its boxes with --preview (images: ${files.join(", ")}), at the data with dfine doctor, or give more --steps or a higher --lr`,
    );
    return learned ? EXIT.ok : EXIT.failure;
  } catch (error) {
    if (signal.aborted && error === signal.reason) return EXIT.interrupted;
    throw error;
  }
}
