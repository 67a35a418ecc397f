import { defineUpdate, keep, type Tensor, tensor, zerosLike } from "@dfine/tensor";
import type { HostTensor } from "../state.ts";
import { readNamed, savedEntry } from "./saved.ts";

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

/** Averages of a parameter's gradient and of its square, and how often they were updated. */
interface Moments {
  step: number;
  readonly first: Tensor;
  readonly second: Tensor;
}

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
    cases: () =>
      [[3, 5], [65], [1]].map((shape) => ({
        name: JSON.stringify(shape),
        inputs: [{ shape }, { shape }, { shape, range: [0, 2] as const }, { shape }],
        run: (inputs) => {
          const [value, first, second, gradient] = inputs as Tensor[];
          const targets = [value!, first!, second!].map((x) => x.mul(1));
          update(targets, [gradient!, 0.5, 0.999, 0.01, 0.9, 0.999, 0.3, 1e-8]);
          return targets;
        },
        differentiable: false,
      })),
  },
);

/**
 * AdamW with decoupled weight decay and bias correction per parameter; one kernel for each. A parameter without a gradient is
 * left alone: no decay, no step. Loshchilov and Hutter 2019, as PyTorch computes it.
 */
export class AdamW {
  readonly groups: readonly OptimizerGroup[];
  readonly #betas: readonly [number, number];
  readonly #eps: number;
  readonly #moments = new Map<string, Moments>();

  constructor(groups: readonly OptimizerGroup[], options: AdamWOptions = {}) {
    this.groups = groups;
    this.#betas = options.betas ?? [0.9, 0.999];
    this.#eps = options.eps ?? 1e-8;
  }

  /** Every parameter's gradient that there is. */
  gradients(): Tensor[] {
    return this.groups.flatMap(({ parameters }) => [...parameters.values()].flatMap((p) => (p.grad ? [p.grad] : [])));
  }

  /** Updates every parameter that has a gradient. */
  step(options: StepOptions = {}): void {
    const { rateFactor = 1, gradientFactor = 1 } = options;
    const [beta1, beta2] = this.#betas;
    for (const { parameters, learningRate, weightDecay } of this.groups) {
      const rate = learningRate * rateFactor;
      for (const [name, parameter] of parameters) {
        const { grad } = parameter;
        if (!grad) continue;
        const moments = this.#momentsOf(name, parameter);
        moments.step++;
        update(
          [parameter, moments.first, moments.second],
          [
            grad,
            gradientFactor,
            1 - rate * weightDecay,
            rate / (1 - beta1 ** moments.step),
            beta1,
            beta2,
            Math.sqrt(1 - beta2 ** moments.step),
            this.#eps,
          ],
        );
      }
    }
  }

  /** Frees all gradients. */
  zeroGrad(): void {
    for (const { parameters } of this.groups) for (const parameter of parameters.values()) parameter.grad = undefined;
  }

  #momentsOf(name: string, parameter: Tensor): Moments {
    let moments = this.#moments.get(name);
    if (!moments) {
      moments = { step: 0, first: keep(zerosLike(parameter)), second: keep(zerosLike(parameter)) };
      this.#moments.set(name, moments);
    }
    return moments;
  }

  /** The averages of every parameter that was ever updated: NAME.step, NAME.exp_avg and NAME.exp_avg_sq. */
  async save(): Promise<Map<string, HostTensor>> {
    const tensors = new Map<string, Tensor>();
    for (const [name, { first, second }] of this.#moments)
      tensors.set(`${name}.exp_avg`, first).set(`${name}.exp_avg_sq`, second);
    const saved = await readNamed(tensors);
    for (const [name, { step }] of this.#moments) saved.set(`${name}.step`, { shape: [1], data: Int32Array.of(step) });
    return saved;
  }

  /** Puts back what `save` gave; parameters that it does not know start anew. @throws StateDictError for another model's */
  restore(state: ReadonlyMap<string, HostTensor>): void {
    this.#forget();
    for (const { parameters } of this.groups) {
      for (const [name, { shape, backend }] of parameters) {
        const step = state.get(`${name}.step`)?.data[0];
        if (step === undefined) continue;
        const restored = (part: string): Tensor =>
          keep(tensor(savedEntry(state, `${name}.${part}`, shape).data, shape, { backend }));
        this.#moments.set(name, { step, first: restored("exp_avg"), second: restored("exp_avg_sq") });
      }
    }
  }

  #forget(): void {
    for (const { first, second } of this.#moments.values()) for (const t of [first, second]) t.dispose();
    this.#moments.clear();
  }

  /** Frees the averages. */
  dispose(): void {
    this.#forget();
  }
}
