import { AdamW, BatchNorm2d, Ema, type Module, readNamed } from "@dfine/nn";
import { type Backend, currentBackend, Scope, type Tensor } from "@dfine/tensor";
import type { OptimizerConfig, TrainConfig } from "../config/config.ts";
import { groupParameters, groupRate } from "../config/parameterGroups.ts";
import type { Detector } from "../model/detector.ts";
import { BufferBackup } from "./bufferBackup.ts";
import type { TrainProgress } from "./progress.ts";
import type { TrainStateValues } from "./stateFile.ts";

/** What of a training run lies on its device: gone when that is lost, and made anew from values on the host. */
export class DeviceState implements Disposable {
  readonly backend: Backend;
  readonly model: Detector;
  /** The model's state dict: these tensors stay while the model does. */
  readonly source: ReadonlyMap<string, Tensor>;
  /** Undefined where nothing is averaged: `ema.decay` 0. */
  readonly ema: Ema | undefined;
  readonly optimizer: AdamW;
  readonly buffers: BufferBackup;
  isCompiled = false;
  #flow: Scope | undefined;

  /** Takes `model`, which it disposes. */
  constructor(model: Detector, config: TrainConfig) {
    this.backend = currentBackend();
    this.model = model.train();
    freezeParts(model, config.freeze);
    if (config.checkpoint) model.recompute();
    // These move what they work on side by side, and the average lays its copies out like that.
    this.optimizer = makeOptimizer(model, config.optimizer);
    this.buffers = new BufferBackup(model);
    this.source = model.stateDict();
    this.ema = config.ema.decay > 0 ? new Ema(this.source, config.ema) : undefined;
  }

  /** The weights that are judged and kept: the averages, or the model's own. */
  get averages(): ReadonlyMap<string, Tensor> {
    return this.ema?.entries ?? this.source;
  }

  /** Copies everything to the host, together with `progress` as it is now. */
  async read(progress: TrainProgress): Promise<TrainStateValues> {
    const then = structuredClone(progress);
    const { entries, updates } = (await this.ema?.save()) ?? { entries: new Map(), updates: 0 };
    return {
      ...{ ema: entries, emaUpdates: updates, progress: then },
      model: await readNamed(this.source),
      optimizer: await this.optimizer.save(),
    };
  }

  /** Puts back what `read` gave. @throws StateDictError for another model's */
  write(values: TrainStateValues): void {
    this.model.loadStateDict(values.model);
    this.ema?.restore({ entries: values.ema, updates: values.emaUpdates });
    this.optimizer.restore(values.optimizer);
  }

  /** A scope for the stretches of one pass; another one, or disposal, ends it. */
  flow(name: string): Scope {
    this.#flow?.close();
    this.#flow = new Scope(name, { backend: this.backend });
    return this.#flow;
  }

  /** Frees everything, also on a device that is lost. A pass under way fails at its next stretch. */
  [Symbol.dispose](): void {
    this.#flow?.close();
    this.model.dispose();
    this.ema?.dispose();
    this.optimizer.dispose();
    this.buffers.dispose();
  }
}

/** Takes parts of a model out of training: their parameters and the statistics of their norms stay as they are. */
function freezeParts(model: Detector, parts: TrainConfig["freeze"]): void {
  const backbone = model.children().flatMap(([name, child]) => (/^backbone(\.|$)/.test(name) ? [child] : []));
  const norms = model.modules().filter((module) => module instanceof BatchNorm2d);
  const modules: Record<TrainConfig["freeze"][number], readonly Module[]> = { backbone, norm: norms };
  for (const part of parts) for (const module of modules[part]) module.freeze().eval();
}

/** AdamW over a model's trainable parameters, in the configuration's groups. */
function makeOptimizer(model: Detector, config: OptimizerConfig): AdamW {
  const trainable = new Map([...model.namedParameters()].filter(([, parameter]) => parameter.requiresGrad));
  const groups = groupParameters([...trainable.keys()], config.groups).map((group) => ({
    name: group.pattern ?? "rest",
    parameters: new Map(group.names.map((name) => [name, trainable.get(name)!])),
    learningRate: groupRate(group, config),
    weightDecay: group.weightDecay === "inherit" ? config.weightDecay : group.weightDecay,
  }));
  return new AdamW(groups, { betas: config.betas, eps: config.eps });
}
