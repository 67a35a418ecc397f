import {
  casesOf,
  checkOptions,
  coalesce,
  copyInto,
  defineUpdate,
  fillInto,
  keep,
  overwrites,
  pack,
  packedGradients,
  packedZerosLike,
  real,
  scope,
  type Tensor,
  thing,
} from "@dfine/tensor";
import { memo } from "@dfine/tensor/kernel";
import type { HostTensor } from "../state.ts";
import { readNamed, writeNamed } from "./saved.ts";

/** Parameters that share a learning rate and a weight decay, by name. */
export interface OptimizerGroup {
  readonly name: string;
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly learningRate: number;
  readonly weightDecay: number;
}

/** What `AdamW` may be told; defaults are PyTorch's. */
export interface AdamWOptions {
  /** Default 0.9 and 0.999. */
  readonly betas?: readonly [number, number];
  /** Default 1e-8. */
  readonly eps?: number;
}

/** Factors of one step. */
export interface StepOptions {
  /** Factor on every group's learning rate, from the schedule; default 1. */
  readonly rateFactor?: number;
  /** Factor on every gradient, from clipping; default 1. */
  readonly gradientFactor?: number;
}

/** Averages of a parameter's gradient and of its square, how often they were updated, and the place of the gradient. */
interface Moments {
  step: number;
  readonly first: Tensor;
  readonly second: Tensor;
  /** Where its gradient lies in a step. */
  readonly gradient: Tensor;
}

/** A parameter's averages by their names in a saved state. */
const averages = ([name, { first, second }]: [string, Moments]): [string, Tensor][] => [
  [`${name}.exp_avg`, first],
  [`${name}.exp_avg_sq`, second],
];

const update = defineUpdate(
  "adamW",
  ([value, first, second], [gradient, factor, decay, rate, beta1, beta2, bias2, eps]) => {
    const g = gradient!.mul(factor!);
    const mean = first!.add(beta1!.neg().add(1).mul(g.sub(first!)));
    const square = second!.mul(beta2!).add(beta2!.neg().add(1).mul(g).mul(g));
    const deviation = square.sqrt().div(bias2!).add(eps!);
    return [value!.mul(decay!).sub(rate!.mul(mean.div(deviation))), mean, square];
  },
  {
    takes: ["value", "first", "second", "gradient", "factor", "decay", "rate", "beta1", "beta2", "bias2", "eps"],
    cases: (op) =>
      casesOf("3x5 65 1", (shape) => ({
        inputs: [{ shape }, { shape }, { shape, range: [0, 2] }, { shape }, 0.5, 0.999, 0.01, 0.9, 0.999, 0.3, 1e-8],
        ...overwrites(op, 3),
      })),
  },
);

/**
 * AdamW with decoupled weight decay and bias correction per parameter. A parameter without a gradient is left alone: no decay,
 * no step. The parameters of a group, their averages and their gradients lie side by side, so that a group is updated by one
 * kernel as long as all of it has gradients. Loshchilov and Hutter 2019, as PyTorch computes it.
 */
export class AdamW {
  readonly groups: readonly OptimizerGroup[];
  readonly #betas: readonly [number, number];
  readonly #eps: number;
  readonly #moments = new Map<string, Moments>();

  /** Moves each group's parameters side by side; they stay the tensors that they are. */
  constructor(groups: readonly OptimizerGroup[], options: AdamWOptions = {}) {
    checkOptions("AdamW", options, { betas: thing, eps: real });
    this.groups = groups;
    this.#betas = options.betas ?? [0.9, 0.999];
    this.#eps = options.eps ?? 1e-8;
    for (const { parameters } of groups) {
      const values = [...parameters.values()];
      pack(values);
      const [first, second, gradient] = [packedZerosLike(values), packedZerosLike(values), packedGradients(values)].map(
        keep,
      );
      for (const [i, name] of [...parameters.keys()].entries())
        this.#moments.set(name, { step: 0, first: first![i]!, second: second![i]!, gradient: gradient![i]! });
    }
  }

  /** Every parameter's gradient that there is; those that were not written side by side are moved there. */
  gradients(): Tensor[] {
    const gradients: Tensor[] = [];
    for (const { parameters } of this.groups)
      for (const [name, parameter] of parameters) {
        const gradient = this.#gradientOf(name, parameter);
        if (gradient) gradients.push(gradient);
      }
    return gradients;
  }

  #gradientOf(name: string, parameter: Tensor): Tensor | undefined {
    const { grad } = parameter;
    if (!grad) return undefined;
    const { gradient } = this.#moments.get(name)!;
    if (grad.storage !== gradient.storage || grad.offset !== gradient.offset) {
      copyInto(gradient, grad);
      parameter.grad = keep(gradient.detach());
    }
    return gradient;
  }

  /** Updates every parameter that has a gradient. */
  step(options: StepOptions = {}): void {
    const { rateFactor = 1, gradientFactor = 1 } = options;
    const [beta1, beta2] = this.#betas;
    for (const { parameters, learningRate, weightDecay } of this.groups) {
      const rate = learningRate * rateFactor;
      for (const [step, rows] of this.#rowsByStep(parameters)) {
        const factors = [
          gradientFactor,
          1 - rate * weightDecay,
          rate / (1 - beta1 ** step),
          beta1,
          beta2,
          Math.sqrt(1 - beta2 ** step),
          this.#eps,
        ];
        scope("adamW", () => {
          for (const [value, first, second, gradient] of coalesce(rows))
            update([value!, first!, second!], [gradient!, ...factors]);
        });
      }
    }
  }

  /** Counts a step of every parameter that has a gradient; value, both averages and gradient of these, by their counts. */
  #rowsByStep(parameters: ReadonlyMap<string, Tensor>): Map<number, Tensor[][]> {
    const rows = new Map<number, Tensor[][]>();
    for (const [name, parameter] of parameters) {
      const gradient = this.#gradientOf(name, parameter);
      if (!gradient) continue;
      const moments = this.#moments.get(name)!;
      const step = ++moments.step;
      memo(rows, step, () => []).push([parameter, moments.first, moments.second, gradient]);
    }
    return rows;
  }

  /** Frees all gradients. */
  zeroGrad(): void {
    for (const { parameters } of this.groups) for (const parameter of parameters.values()) parameter.grad = undefined;
  }

  /** The averages of every parameter that was ever updated: NAME.step, NAME.exp_avg and NAME.exp_avg_sq. */
  async save(): Promise<Map<string, HostTensor>> {
    const updated = [...this.#moments].filter(([, { step }]) => step > 0);
    const saved = await readNamed(new Map(updated.flatMap(averages)));
    for (const [name, { step }] of updated) saved.set(`${name}.step`, { shape: [1], data: Int32Array.of(step) });
    return saved;
  }

  /** Puts back what `save` gave; parameters that it does not know start anew. @throws StateDictError for another model's */
  restore(state: ReadonlyMap<string, HostTensor>): void {
    for (const [name, moments] of this.#moments) {
      const saved = averages([name, moments]);
      moments.step = state.get(`${name}.step`)?.data[0] ?? 0;
      if (moments.step > 0) writeNamed(new Map(saved), state);
      else for (const [, average] of saved) fillInto(average, 0);
    }
  }

  /** Frees the averages and the places of gradients. */
  dispose(): void {
    for (const { first, second, gradient } of this.#moments.values())
      for (const tensor of [first, second, gradient]) tensor.dispose();
    this.#moments.clear();
  }
}
