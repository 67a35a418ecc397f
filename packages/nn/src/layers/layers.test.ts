import {
  backward,
  checkpoint,
  Random,
  referenceBackend,
  relu,
  ShapeError,
  setBackend,
  sizeOf,
  type Tensor,
  tensor,
} from "@dfine/tensor";
import { beforeAll, describe, expect, test } from "vitest";
import { initialize } from "../initialize.ts";
import type { Module } from "../module.ts";
import { BatchNorm2d, FrozenBatchNorm2d, normAffine } from "./batchNorm2d.ts";
import { Conv2d } from "./conv2d.ts";
import { Embedding } from "./embedding.ts";
import { GroupNorm } from "./groupNorm.ts";
import { LayerNorm } from "./layerNorm.ts";
import { Linear } from "./linear.ts";
import { Mlp } from "./mlp.ts";
import { MultiHeadAttention } from "./multiHeadAttention.ts";
import { Sequential } from "./sequential.ts";

beforeAll(() => setBackend(referenceBackend({ floatBits: 64, poison: true })));

const random = new Random(11);
const drawn = (shape: number[], name = "x"): Tensor => {
  const stream = random.fork(`${name}${shape}`);
  return tensor(
    Float64Array.from({ length: sizeOf(shape) }, () => stream.normal()),
    shape,
  );
};
/** Every parameter drawn, constants included. */
function lively<M extends Module>(module: M): M {
  initialize(module, random);
  for (const [name, { shape }] of module.namedParameters()) {
    using values = drawn([...shape], name);
    module.loadStateDict(new Map([[name, values]]), { strict: false });
  }
  return module;
}
const numbers = async (t: Tensor): Promise<number[]> => [...(await t.data())];
const expectClose = (actual: readonly number[], expected: readonly number[]): void => {
  expect(actual.length).toBe(expected.length);
  actual.forEach((value, i) => {
    expect(value).toBeCloseTo(expected[i]!, 9);
  });
};

/** Central differences of a function of plain numbers. */
function differences(f: (values: readonly number[]) => number, values: readonly number[]): number[] {
  const step = 1e-5;
  const at = (i: number, move: number) => f(values.map((value, k) => (k === i ? value + move : value)));
  return values.map((_, i) => (at(i, step) - at(i, -step)) / (2 * step));
}
const sumOfSquares = (values: readonly number[]): number => values.reduce((sum, v) => sum + v * v, 0);
const expectGradient = async (t: Tensor, f: (values: readonly number[]) => number, values: readonly number[]) => {
  const found = await numbers(t.grad!);
  differences(f, values).forEach((wanted, i) => {
    expect(Math.abs(found[i]! - wanted), `element ${i}`).toBeLessThan(1e-7 * (1 + Math.abs(wanted)));
  });
};

describe("BatchNorm2d", () => {
  const shape = [2, 3, 2, 4];
  /** Values of each channel over batch and space. */
  const channelsOf = (values: readonly number[]): number[][] =>
    [0, 1, 2].map((c) => values.filter((_, i) => Math.floor(i / 8) % 3 === c));
  const meanOf = (values: readonly number[]): number => values.reduce((a, b) => a + b) / values.length;
  const squares = (values: readonly number[]): number => values.reduce((sum, v) => sum + (v - meanOf(values)) ** 2, 0);
  /** Each value by its channel's mean and variance, scaled and moved. */
  function normalised(values: readonly number[], weight: readonly number[], bias: readonly number[]): number[] {
    const channels = channelsOf(values);
    return values.map((value, i) => {
      const c = Math.floor(i / 8) % 3;
      const spread = Math.sqrt(squares(channels[c]!) / 16 + 1e-5);
      return ((value - meanOf(channels[c]!)) / spread) * weight[c]! + bias[c]!;
    });
  }

  test("normalises by the batch and moves the running statistics, the variance unbiased", async () => {
    using norm = lively(new BatchNorm2d(3));
    const x = drawn(shape);
    const values = await numbers(x);
    const [weight, bias] = [await numbers(norm.weight), await numbers(norm.bias)];
    const channels = channelsOf(values);
    const expected = normalised(values, weight, bias).map((value) => Math.max(0, value));
    expectClose(await numbers(norm.call(x, { activation: "relu" })), expected);
    expectClose(
      await numbers(norm.runningMean),
      channels.map((channel) => 0.1 * meanOf(channel)),
    );
    expectClose(
      await numbers(norm.runningVar),
      channels.map((channel) => 0.9 + (0.1 * squares(channel)) / 15),
    );
    expect(await norm.numBatchesTracked.item()).toBe(1);
  });

  test("uses the running statistics outside training and leaves them", async () => {
    using norm = lively(new BatchNorm2d(3));
    using frozen = new FrozenBatchNorm2d(3);
    const x = drawn(shape);
    norm.call(x);
    const before = await numbers(norm.runningMean);
    norm.eval();
    const affine = { scale: tensor([2]), shift: tensor([-1]) };
    const [mean, variance] = [await numbers(norm.runningMean), await numbers(norm.runningVar)];
    const [weight, bias] = [await numbers(norm.weight), await numbers(norm.bias)];
    const expected = (await numbers(x)).map((value, i) => {
      const c = Math.floor(i / 8) % 3;
      return 2 * Math.max(0, ((value - mean[c]!) / Math.sqrt(variance[c]! + 1e-5)) * weight[c]! + bias[c]!) - 1;
    });
    expectClose(await numbers(norm.call(x, { activation: "relu", affine })), expected);
    expect(await numbers(norm.runningMean)).toEqual(before);
    frozen.loadStateDict(norm.stateDict());
    expect(frozen.namedParameters().size).toBe(0);
    expectClose(await numbers(frozen.call(x, { activation: "relu", affine })), expected);
    const { factor, bias: added } = normAffine(frozen);
    const normed = x.mul(factor.reshape([1, -1, 1, 1])).add(added.reshape([1, -1, 1, 1]));
    expectClose(await numbers(relu(normed).mul(2).sub(1)), expected);
  });

  test("counts a batch once when a checkpoint computes it twice", async () => {
    using norm = lively(new BatchNorm2d(3));
    const x = drawn(shape);
    x.requiresGrad = true;
    const y = checkpoint(([input]) => norm.call(input!), [x]);
    const after = await numbers(norm.runningVar);
    backward(y.mul(y).sum());
    const [values, weight, bias] = await Promise.all([x, norm.weight, norm.bias].map(numbers));
    await expectGradient(norm.weight, (moved) => sumOfSquares(normalised(values!, moved, bias!)), weight!);
    await expectGradient(norm.bias, (moved) => sumOfSquares(normalised(values!, weight!, moved)), bias!);
    await expectGradient(x, (moved) => sumOfSquares(normalised(moved, weight!, bias!)), values!);
    expect(await numbers(norm.runningVar)).toEqual(after);
    expect(await norm.numBatchesTracked.item()).toBe(1);
  });

  test("refuses a single value per channel", () => {
    using norm = new BatchNorm2d(3);
    expect(() => norm.call(drawn([1, 3, 1, 1]))).toThrow(ShapeError);
  });
});

describe("Embedding", () => {
  test("picks rows; the padding row starts at zero and gets no gradient", async () => {
    using table = new Embedding(4, 3, { paddingIndex: 3 });
    initialize(table, random);
    const weight = await numbers(table.weight);
    expect(weight.slice(9)).toEqual([0, 0, 0]);
    const rows = table.call(tensor(Int32Array.from([2, 3, 2, 0]), [2, 2]));
    expect(rows.shape).toEqual([2, 2, 3]);
    expect(await numbers(rows)).toEqual([...weight.slice(6, 9), 0, 0, 0, ...weight.slice(6, 9), ...weight.slice(0, 3)]);
    backward(rows.sum());
    expect(await numbers(table.weight.grad!)).toEqual([1, 1, 1, 0, 0, 0, 2, 2, 2, 0, 0, 0]);
  });
});

describe("Sequential", () => {
  test("calls its modules in order, and names them by their keys or positions", async () => {
    const [first, second] = [lively(new Linear(3, 4, { activation: "relu" })), lively(new Linear(4, 2))];
    const x = drawn([5, 3]);
    const expected = await numbers(second.call(first.call(x)));
    using named = new Sequential({ first, left: undefined, pair: new Sequential([second]) });
    expect(await numbers(named.call(x))).toEqual(expected);
    expect([...named.stateDict().keys()]).toEqual(["first.weight", "first.bias", "pair.0.weight", "pair.0.bias"]);
    expect(await numbers(new Sequential([]).call(x))).toEqual(await numbers(x));
  });
});

describe("Linear, Conv2d, Mlp, LayerNorm", () => {
  test("a 1x1 convolution with bias is a linear layer of the channels", async () => {
    using conv = lively(new Conv2d(3, 5, { kernel: 1, bias: true, activation: "silu" }));
    using linear = new Linear(3, 5, { activation: "silu" });
    linear.loadStateDict(
      new Map([
        ["weight", conv.weight.reshape([5, 3])],
        ["bias", conv.bias!],
      ]),
    );
    const x = drawn([2, 3, 4, 1]);
    const y = linear.call(x.permute([0, 2, 3, 1])).permute([0, 3, 1, 2]);
    expectClose(await numbers(conv.call(x)), await numbers(y));
  });

  test("an Mlp has ReLU between its layers and none after", async () => {
    using mlp = lively(new Mlp(3, 2, { layers: 2, hidden: 4 }));
    const x = drawn([5, 3]);
    const [w0, b0, w1, b1] = await Promise.all([...mlp.namedParameters().values()].map(numbers));
    const rows = await numbers(x);
    const expected = Array.from({ length: 5 }, (_, r) => {
      const hidden = b0!.map((b, j) =>
        Math.max(
          0,
          [0, 1, 2].reduce((sum, i) => sum + rows[3 * r + i]! * w0![3 * j + i]!, b),
        ),
      );
      return b1!.map((b, k) => hidden.reduce((sum, h, j) => sum + h * w1![4 * k + j]!, b));
    }).flat();
    expect(expected.some((value) => value < 0)).toBe(true);
    expectClose(await numbers(mlp.call(x)), expected);
  });

  test("GroupNorm gives groups of channels mean 0 and variance 1, then scales and shifts channels", async () => {
    using norm = lively(new GroupNorm(2, 4));
    const x = drawn([2, 4, 3, 2]);
    const [values, weight, bias] = [await numbers(x), await numbers(norm.weight), await numbers(norm.bias)];
    const expected = values.map((value, i) => {
      const start = i - (i % 12);
      const group = values.slice(start, start + 12);
      const mean = group.reduce((sum, v) => sum + v, 0) / 12;
      const variance = group.reduce((sum, v) => sum + (v - mean) ** 2, 0) / 12;
      const channel = Math.floor(i / 6) % 4;
      return ((value - mean) / Math.sqrt(variance + 1e-5)) * weight[channel]! + bias[channel]!;
    });
    expectClose(await numbers(norm.call(x)), expected);
    expect(() => new GroupNorm(3, 4)).toThrow("4 channels do not divide into 3 groups");
  });

  test("LayerNorm with weight 1 and bias 0 gives rows of mean 0 and variance 1", async () => {
    using norm = new LayerNorm(50);
    const values = await numbers(norm.call(drawn([1, 50])));
    expect(values.reduce((a, b) => a + b)).toBeCloseTo(0, 9);
    expect(values.reduce((sum, v) => sum + v * v, 0) / 50).toBeCloseTo(1, 3);
  });
});

describe("MultiHeadAttention", () => {
  const [batch, length, features, heads] = [2, 5, 6, 2];
  const depth = features / heads;

  /** Attention written out with loops: Q, K and V are consecutive thirds of the packed weight, heads consecutive channels. */
  function attention(
    { query, value, bias }: { query: number[]; value: number[]; bias: number[] },
    weights: Record<"wIn" | "bIn" | "wOut" | "bOut", number[]>,
  ): number[] {
    const project = (x: number[], row: number, part: number): number[] =>
      Array.from({ length: features }, (_, j) => {
        const w = part * features + j;
        const terms = Array.from(
          { length: features },
          (_, i) => x[row * features + i]! * weights.wIn[w * features + i]!,
        );
        return terms.reduce((a, b) => a + b, weights.bIn[w]!);
      });
    return Array.from({ length: batch * length }, (_, row) => {
      const first = Math.floor(row / length) * length;
      const q = project(query, row, 0);
      const mixed = Array.from({ length: heads }, (_, h) => {
        const scores = Array.from({ length }, (_, k) => {
          const key = project(query, first + k, 1);
          const dot = Array.from({ length: depth }, (_, d) => q[h * depth + d]! * key[h * depth + d]!);
          return dot.reduce((a, b) => a + b) / Math.sqrt(depth) + bias[(row - first) * length + k]!;
        });
        const powers = scores.map(Math.exp);
        const sum = powers.reduce((a, b) => a + b);
        return Array.from({ length: depth }, (_, d) =>
          powers.reduce((total, p, k) => total + (p / sum) * project(value, first + k, 2)[h * depth + d]!, 0),
        );
      }).flat();
      return weights.bOut.map((b, j) => mixed.reduce((total, m, i) => total + m * weights.wOut[j * features + i]!, b));
    }).flat();
  }

  test.for([false, true])("equals attention written out with loops (blocked pairs: %s)", async (blocked) => {
    using module = lively(new MultiHeadAttention(features, heads));
    const [query, value] = [drawn([batch, length, features], "query"), drawn([batch, length, features], "value")];
    const bias = Array.from({ length: length * length }, (_, i) =>
      blocked && i % length < 2 && i >= 2 * length ? Number.NEGATIVE_INFINITY : 0,
    );
    const weights = { wIn: [0], bIn: [0], wOut: [0], bOut: [0] };
    const names = ["wIn", "bIn", "wOut", "bOut"] as const;
    const parameters = [...module.namedParameters().values()];
    for (const [i, name] of names.entries()) weights[name] = await numbers(parameters[i]!);
    const inputs = { query: await numbers(query), value: await numbers(value), bias };
    const expected = attention(inputs, weights);
    const output = module.call({ query, value, ...(blocked ? { bias: tensor(bias, [length, length]) } : {}) });
    expect(output.shape).toEqual([batch, length, features]);
    expectClose(await numbers(output), expected);
    backward(output.mul(output).sum());
    for (const [i, name] of names.entries()) {
      const loss = (moved: readonly number[]) => sumOfSquares(attention(inputs, { ...weights, [name]: [...moved] }));
      await expectGradient(parameters[i]!, loss, weights[name]);
    }
  });
});
