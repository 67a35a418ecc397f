import { readNamed } from "@dfine/nn";
import {
  backward,
  metaBackend,
  Random,
  readTensors,
  referenceBackend,
  setBackend,
  tensor,
  withBackend,
} from "@dfine/tensor";
import { beforeAll, describe, expect, test } from "vitest";
import { ResNet, resnet50 } from "./resnet.ts";

beforeAll(() => setBackend(referenceBackend({ floatBits: 64, poison: true })));

type Config = ConstructorParameters<typeof ResNet>[0];
const config = (change: Partial<Config> = {}): Config => ({
  type: "resnet50",
  ...{ returnStages: [0, 1, 2, 3], freezeAt: -1, freezeNorm: false },
  ...change,
});

describe("ResNet-50", () => {
  /** Names of torchvision's listing, without the classifier. */
  function names(freezeNorm: boolean): string[] {
    const norm = (at: string) => [
      ...["weight", "bias", "running_mean", "running_var"].map((leaf) => `${at}.${leaf}`),
      ...(freezeNorm ? [] : [`${at}.num_batches_tracked`]),
    ];
    const blocks = [3, 4, 6, 3].flatMap((count, stage) =>
      Array.from({ length: count }, (_, block) => `layer${stage + 1}.${block}`),
    );
    const inBlock = (at: string) => [1, 2, 3].flatMap((i) => [`${at}.conv${i}.weight`, ...norm(`${at}.bn${i}`)]);
    const shortcut = (at: string) =>
      at.endsWith(".0") ? [`${at}.downsample.0.weight`, ...norm(`${at}.downsample.1`)] : [];
    return ["conv1.weight", ...norm("bn1"), ...blocks.flatMap((at) => [...inBlock(at), ...shortcut(at)])];
  }

  // 25,557,032 parameters of torchvision's model less 2,049,000 of its classifier; 53,120 of them are the norms'.
  test.each([
    [false, 23_508_032],
    [true, 23_508_032 - 53_120],
  ])("has torchvision's names and number of parameters; frozen norms: %s", (freezeNorm, parameters) => {
    withBackend(metaBackend(), () => {
      using model = new ResNet(config({ freezeNorm }));
      expect([...model.stateDict().keys()]).toEqual(names(freezeNorm));
      expect(model.parameterCount()).toBe(parameters);
    });
  });

  test("of which stem and first stage have 222,400 outside their norms", () => {
    withBackend(metaBackend(), () => {
      using model = new ResNet(config({ freezeNorm: true, freezeAt: 1 }));
      const frozen = [...model.namedParameters()].filter(([, { requiresGrad }]) => !requiresGrad);
      expect(frozen.every(([name]) => /^(conv1|layer1)\./.test(name))).toBe(true);
      expect(frozen.reduce((total, [, { size }]) => total + size, 0)).toBe(222_400);
    });
  });

  test("hands on what it says, as many levels as are asked for", () => {
    const { levels, make } = resnet50.plan(resnet50.defaults(3));
    const maps = withBackend(metaBackend(), () => make().call(tensor(new Float32Array(3 * 64 * 96), [1, 3, 64, 96])));
    expect(maps.map(({ shape }) => shape)).toEqual(
      levels!().map(({ channels, stride }) => [1, channels, 64 / stride, 96 / stride]),
    );
    expect(levels!()).toEqual([512, 1024, 2048].map((channels, i) => ({ channels, stride: 8 * 2 ** i })));
  });
});

/** Values [B, C, H, W], row-major. */
interface Map4 {
  readonly shape: readonly [batch: number, channels: number, height: number, width: number];
  readonly data: Float64Array;
}
/** A state dict's values by name. */
type State = ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: ArrayLike<number> }>;

function fill(shape: Map4["shape"], value: (b: number, c: number, y: number, x: number) => number): Map4 {
  const [batch, channels, height, width] = shape;
  const data = new Float64Array(batch * channels * height * width);
  let at = 0;
  for (let b = 0; b < batch; b++)
    for (let c = 0; c < channels; c++)
      for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) data[at++] = value(b, c, y, x);
  return { shape, data };
}

/** A value, or `outside` beyond the edges. */
function pick({ shape: [, channels, height, width], data }: Map4, at: readonly number[], outside = 0): number {
  const [b, c, y, x] = at as [number, number, number, number];
  return y < 0 || x < 0 || y >= height || x >= width ? outside : data[((b * channels + c) * height + y) * width + x]!;
}

const steps = (size: number, { kernel, stride }: { kernel: number; stride: number }): number =>
  Math.floor((size + 2 * Math.floor(kernel / 2) - kernel) / stride) + 1;

/** The network, written as loops. */
class Loops {
  readonly #state: State;
  readonly #training: boolean;

  constructor(state: State, training: boolean) {
    this.#state = state;
    this.#training = training;
  }

  conv(input: Map4, name: string, stride: number): Map4 {
    const { shape, data } = this.#state.get(`${name}.weight`)!;
    const [out, channels, kernel] = shape as [number, number, number];
    const [batch, , height, width] = input.shape;
    const pad = Math.floor(kernel / 2);
    return fill([batch, out, steps(height, { kernel, stride }), steps(width, { kernel, stride })], (b, o, y, x) => {
      let total = 0;
      for (let c = 0; c < channels; c++)
        for (let i = 0; i < kernel; i++)
          for (let j = 0; j < kernel; j++)
            total +=
              pick(input, [b, c, y * stride + i - pad, x * stride + j - pad]) *
              data[((o * channels + c) * kernel + i) * kernel + j]!;
      return total;
    });
  }

  norm(input: Map4, name: string): Map4 {
    const [weight, bias, mean, variance] = ["weight", "bias", "running_mean", "running_var"].map((leaf) => [
      ...Array.from(this.#state.get(`${name}.${leaf}`)!.data),
    ]) as [number[], number[], number[], number[]];
    const [batch, channels, height, width] = input.shape;
    const count = batch * height * width;
    for (let c = 0; this.#training && c < channels; c++) {
      const values: number[] = [];
      fill([batch, 1, height, width], (b, _, y, x) => values.push(pick(input, [b, c, y, x])));
      mean[c] = values.reduce((sum, value) => sum + value, 0) / count;
      variance[c] = values.reduce((sum, value) => sum + (value - mean[c]!) ** 2, 0) / count;
    }
    return fill(
      input.shape,
      (b, c, y, x) => ((pick(input, [b, c, y, x]) - mean[c]!) / Math.sqrt(variance[c]! + 1e-5)) * weight[c]! + bias[c]!,
    );
  }

  block(input: Map4, name: string, stride: number): Map4 {
    const first = relu(this.norm(this.conv(input, `${name}.conv1`, 1), `${name}.bn1`));
    const second = relu(this.norm(this.conv(first, `${name}.conv2`, stride), `${name}.bn2`));
    const third = this.norm(this.conv(second, `${name}.conv3`, 1), `${name}.bn3`);
    const shortcut = this.#state.has(`${name}.downsample.0.weight`)
      ? this.norm(this.conv(input, `${name}.downsample.0`, stride), `${name}.downsample.1`)
      : input;
    return relu(fill(third.shape, (...at) => pick(third, at) + pick(shortcut, at)));
  }

  run(images: Map4, blocks: readonly number[]): Map4[] {
    let x = maxPool(relu(this.norm(this.conv(images, "conv1", 2), "bn1")));
    return blocks.map((count, stage) => {
      for (let i = 0; i < count; i++) x = this.block(x, `layer${stage + 1}.${i}`, i === 0 && stage > 0 ? 2 : 1);
      return x;
    });
  }
}

const relu = (input: Map4): Map4 => fill(input.shape, (...at) => Math.max(0, pick(input, at)));

function maxPool(input: Map4): Map4 {
  const [batch, channels, height, width] = input.shape;
  const window = { kernel: 3, stride: 2 };
  return fill([batch, channels, steps(height, window), steps(width, window)], (b, c, y, x) => {
    let most = Number.NEGATIVE_INFINITY;
    for (let i = -1; i <= 1; i++)
      for (let j = -1; j <= 1; j++)
        most = Math.max(most, pick(input, [b, c, 2 * y + i, 2 * x + j], Number.NEGATIVE_INFINITY));
    return most;
  });
}

describe("against nested loops", () => {
  const size = { width: 2, blocks: [2, 1, 2, 1] };
  const random = new Random(3);
  const images = fill([2, 3, 37, 45], () => random.normal());

  /** A small network whose every number is drawn. */
  function lively(change: Partial<Config>): ResNet {
    const model = new ResNet(config(change), size);
    const state = new Map(
      [...model.stateDict()].map(([name, { shape, size: count }]) => {
        const isScale = /(bn\d|downsample\.1)\.(weight|running_var)$/.test(name);
        const draw = () => (isScale ? 0.5 + random.uniform() : 0.4 * random.normal());
        return [name, { shape, data: Float64Array.from({ length: count }, draw) }] as const;
      }),
    );
    model.loadStateDict(state);
    return model;
  }

  test.each([
    ["plain norms outside training", { freezeNorm: false }, false],
    ["plain norms in training", { freezeNorm: false }, true],
    ["frozen norms outside training", { freezeNorm: true }, false],
    ["frozen norms in training", { freezeNorm: true }, true],
  ])("%s", async (_, change, training) => {
    using model = lively(change).train(training);
    const state = await readNamed(model.stateDict());
    const expected = new Loops(state, training && !change.freezeNorm).run(images, size.blocks);
    const maps = model.call(tensor(images.data, images.shape));
    const values = await readTensors(maps);
    for (const [i, map] of expected.entries()) {
      expect(maps[i]!.shape).toEqual(map.shape);
      for (const [at, value] of map.data.entries())
        expect(Math.abs(values[i]![at]! - value)).toBeLessThan(1e-9 * Math.max(1, Math.abs(value)));
    }
    if (change.freezeNorm) expect(await readNamed(model.stateDict())).toEqual(state);
  });

  test.each([
    [-1, /^$/],
    [0, /^(conv1|bn1)\./],
    [2, /^(conv1|bn1|layer1|layer2)\./],
  ])("freezeAt %i leaves all others a gradient", (freezeAt, frozen) => {
    using model = lively({ freezeAt });
    const maps = model.call(tensor(images.data, images.shape));
    backward(maps.map((map) => map.mul(map).sum()).reduce((a, b) => a.add(b)));
    for (const [name, parameter] of model.namedParameters())
      expect(parameter.grad === undefined, name).toBe(frozen.test(name));
  });
});
