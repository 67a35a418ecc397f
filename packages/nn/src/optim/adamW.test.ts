import { full, liveStorages, referenceBackend, scope, setBackend, type Tensor, tensor } from "@dfine/tensor";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { StateDictError } from "../state.ts";
import { AdamW } from "./adamW.ts";
import { clipCoefficient, globalNorm } from "./clip.ts";

beforeAll(() => setBackend(referenceBackend({ floatBits: 64 })));

const BETAS = [0.8, 0.95] as const;
const EPS = 1e-6;

/** One parameter by the formulas of the paper, one number at a time. */
class Oracle {
  readonly values: number[];
  readonly #first: number[];
  readonly #second: number[];
  #step = 0;

  constructor(values: readonly number[]) {
    this.values = [...values];
    this.#first = values.map(() => 0);
    this.#second = values.map(() => 0);
  }

  update(gradient: readonly number[], rate: number, decay: number): void {
    this.#step++;
    gradient.forEach((g, i) => {
      this.values[i]! -= rate * decay * this.values[i]!;
      this.#first[i] = BETAS[0] * this.#first[i]! + (1 - BETAS[0]) * g;
      this.#second[i] = BETAS[1] * this.#second[i]! + (1 - BETAS[1]) * g * g;
      const mean = this.#first[i]! / (1 - BETAS[0] ** this.#step);
      const square = this.#second[i]! / (1 - BETAS[1] ** this.#step);
      this.values[i]! -= (rate * mean) / (Math.sqrt(square) + EPS);
    });
  }
}

const leaf = (values: readonly number[]): Tensor => {
  const parameter = tensor(Float64Array.from(values), [values.length]);
  parameter.requiresGrad = true;
  return parameter;
};
const make = (parameters: ReadonlyMap<string, Tensor>, weightDecay = 0.1) =>
  new AdamW([{ name: "all", parameters, learningRate: 0.01, weightDecay }], { betas: BETAS, eps: EPS });

const number = fc.double({ min: -3, max: 3, noNaN: true });
const three = fc.tuple(number, number, number);
/** Gradients of two parameters for some steps; the second one sometimes has none. */
const steps = fc.array(
  fc.record({ a: three, b: fc.option(three), factor: fc.double({ min: 0.1, max: 1, noNaN: true }) }),
  {
    minLength: 1,
    maxLength: 6,
  },
);

describe("AdamW", () => {
  test("follows the formulas, and leaves parameters without a gradient alone", () =>
    fc.assert(
      fc.asyncProperty(three, three, steps, async (a, b, list) => {
        const parameters = new Map([
          ["a", leaf(a)],
          ["b", leaf(b)],
        ]);
        const optimizer = make(parameters);
        const oracles = { a: new Oracle(a), b: new Oracle(b) };
        for (const { factor, ...gradients } of list) {
          for (const name of ["a", "b"] as const) {
            const gradient = gradients[name];
            if (!gradient) continue;
            parameters.get(name)!.grad = tensor(gradient);
            oracles[name].update(
              gradient.map((g) => g * factor),
              0.01 * factor,
              0.1,
            );
          }
          optimizer.step({ rateFactor: factor, gradientFactor: factor });
          optimizer.zeroGrad();
        }
        for (const name of ["a", "b"] as const) {
          const found = await parameters.get(name)!.data();
          for (const [i, value] of oracles[name].values.entries()) expect(found[i]).toBeCloseTo(value, 12);
        }
        optimizer.dispose();
      }),
      { numRuns: 60 },
    ));

  test("saved and restored it goes on exactly as before", () =>
    fc.assert(
      fc.asyncProperty(three, steps, steps, async (start, before, after) => {
        const run = (optimizer: AdamW, parameter: Tensor, list: typeof before) => {
          for (const { a } of list) {
            parameter.grad = tensor(a);
            optimizer.step();
          }
        };
        const whole = leaf(start);
        const first = make(new Map([["a", whole]]));
        run(first, whole, before);
        const copy = leaf([...(await whole.data())]);
        const second = make(new Map([["a", copy]]));
        second.restore(await first.save());
        run(first, whole, after);
        run(second, copy, after);
        expect([...(await copy.data())]).toEqual([...(await whole.data())]);
        for (const optimizer of [first, second]) {
          optimizer.zeroGrad();
          optimizer.dispose();
        }
      }),
      { numRuns: 30 },
    ));

  test("refuses another model's state", async () => {
    const parameter = leaf([1, 2]);
    parameter.grad = tensor([1, 1]);
    const optimizer = make(new Map([["a", parameter]]));
    optimizer.step();
    optimizer.zeroGrad();
    const state = await optimizer.save();
    expect([...state.keys()]).toEqual(["a.exp_avg", "a.exp_avg_sq", "a.step"]);
    expect(() => make(new Map([["a", leaf([1, 2, 3])]])).restore(state)).toThrow(StateDictError);
    expect(() => make(new Map([["a", leaf([1, 2, 3])]])).restore(state)).toThrow(/exp_avg is \[2\], the model's \[3\]/);
    optimizer.dispose();
  });

  test("keeps nothing alive beyond its averages", () => {
    const before = liveStorages();
    scope("test", () => {
      const parameter = leaf([1, 2, 3]);
      const optimizer = make(new Map([["a", parameter]]));
      for (let i = 0; i < 3; i++) {
        parameter.grad = tensor([1, 2, 3]);
        optimizer.step();
        optimizer.zeroGrad();
      }
      optimizer.dispose();
    });
    expect(liveStorages()).toBe(before);
  });
});

describe("clipping", () => {
  test("the norm is that of all elements together", () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(number, { minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 5 }),
        async (lists) => {
          const norm = await globalNorm(lists.map((list) => tensor(list))).item();
          expect(norm).toBeCloseTo(Math.hypot(...lists.flat()), 10);
        },
      ),
    ));

  test("large tensors, views and matrices count whole", async () => {
    const ones = full([300, 400], 1);
    expect(await globalNorm([ones, ones.transpose(0, 1), full([1], 3)]).item()).toBeCloseTo(Math.sqrt(240009), 9);
  });

  test("the coefficient brings large norms to the limit and leaves small ones", () => {
    expect(clipCoefficient(5, 0.1) * 5).toBeCloseTo(0.1, 7);
    expect(clipCoefficient(0.05, 0.1)).toBe(1);
    expect(clipCoefficient(5, 0)).toBe(1);
  });
});
