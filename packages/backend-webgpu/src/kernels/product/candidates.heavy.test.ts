import { conv2d, conv2dAct, gradients, matmul, type Tensor } from "@dfine/tensor";
import { afterAll, describe, expect, it } from "vitest";
import { numbers, type Oracle } from "../../../../tensor/test/sums.ts";
import { evaluate, f32, type Input, type Run, variants } from "../../../test/opKit.ts";
import { expectAllClose, expectedOf } from "../../../test/productKit.ts";
import { makeBackend } from "../../backend.ts";
import { openDevice } from "../../device/openDevice.ts";
import type { Products } from "../runtime.ts";
import { candidatesOf, type ProductDevice, shapeName } from "./shapes.ts";

const open = await openDevice();
const destroy = open.device.destroy.bind(open.device);
// Backends come and go on the one device.
open.device.destroy = () => undefined;
afterAll(destroy);
const made = (software: boolean, products: Partial<Pick<Products, "choiceOf"> & ProductDevice> = {}) =>
  makeBackend({ ...open, software }, { products });

interface Case {
  readonly name: string;
  readonly inputs: readonly Input[];
  readonly run: Run;
}
const random = (shape: readonly number[], seed: number): Input =>
  f32(
    numbers(
      shape.reduce((a, b) => a * b, 1),
      seed,
    ),
    shape,
  );
const transposed = (x: Tensor): Tensor => x.transpose(-1, -2);

// Sizes that end within a tile, so that rows, columns and k are cut off; together all ways to load and to store.
const CASES: readonly Case[] = [
  {
    name: "A along k and B along columns, one by one",
    inputs: [random([35, 67], 1), random([67, 37], 2)],
    run: ([a, b]) => [matmul(a!, b!)],
  },
  {
    name: "in fours, sums in parts",
    inputs: [random([36, 1600], 3), random([1600, 20], 4)],
    run: ([a, b]) => [matmul(a!, b!)],
  },
  {
    name: "A along rows and B along k, in fours, two batches",
    inputs: [random([2, 40, 36], 5), random([2, 44, 40], 6)],
    run: ([a, b]) => [matmul(transposed(a!), transposed(b!))],
  },
  {
    name: "a 3×3 convolution with its gradients",
    inputs: [random([2, 8, 8, 12], 7), random([12, 8, 3, 3], 8), random([2, 12, 8, 12], 9)],
    run: ([x, weight, dy]) => {
      const convolve = ([a, b]: readonly Tensor[]): Tensor => conv2d(a!, b!, { padding: 1 });
      return [convolve([x!, weight!]), ...gradients(convolve, { inputs: [x!, weight!], dy: dy! })];
    },
  },
  {
    name: "a convolution with an epilogue",
    inputs: [random([1, 4, 6, 10], 10), random([20, 4, 3, 3], 11), random([20], 12)],
    run: ([x, weight, bias]) => [conv2dAct(x!, weight!, { padding: 1, bias: bias!, activation: "relu" })],
  },
];
const expected: Oracle[][] = [];
for (const { inputs, run } of CASES) expected.push(await expectedOf(inputs, run));

const lies = { a: { alongK: true, inFours: true }, b: { alongK: false, inFours: true } };
const namesOf = (device: ProductDevice): string[] => candidatesOf(device, lies).map(shapeName);

/** Cases that every candidate computes; the others they take in turn, since most of the time goes into compiling. */
const OF_ALL = 2;

/** Where products run the one kernel. */
async function check(isSoftware: boolean, { name, turn }: { name: string; turn: number }): Promise<void> {
  const { backend } = made(isSoftware, { choiceOf: () => name });
  const others = CASES.length - OF_ALL;
  for (const [i, { inputs, run }] of CASES.entries())
    if (i < OF_ALL || (i - OF_ALL) % others === turn % others) {
      expectAllClose(await evaluate(backend, inputs, run), expected[i]!);
    }
  expect(await variants(backend, CASES[0]!.inputs, CASES[0]!.run)).toEqual([`matmul: ${name}`]);
  backend.dispose();
}

describe.each([
  ["GPUs", false],
  ["software", true],
] as const)("each candidate of %s computes products", (_, isSoftware) => {
  const names = namesOf(made(isSoftware).runtime.products.device);
  it.each(names.map((name, turn) => ({ name, turn })))("$name", (one) => check(isSoftware, one));
});

describe("factors of 16 bits", () => {
  /** Bits of a float of 16 bits' fraction, the first one included. */
  const HALF_BITS = 11;

  it("give sums as far from float32's as their rounding lets expect, and no farther", async () => {
    const sizes = { m: 40, k: 900, n: 24 };
    const inputs = [random([sizes.m, sizes.k], 20), random([sizes.k, sizes.n], 21)];
    const run: Run = ([a, b]) => [matmul(a!, b!)];
    const [{ values, magnitudes }] = (await expectedOf(inputs, run)) as [Oracle];
    const [half] = await evaluate(made(false, { operands: "rounded" }).backend, inputs, run);
    const shares = Array.from(half!, (x, i) => Math.abs(x - values[i]!) / magnitudes[i]!);
    // Each factor is off by half a unit of its last bit at most, so each product by both.
    expect(Math.max(...shares)).toBeLessThan(2 ** -HALF_BITS * 2);
    // It does round: float32 is a thousand times nearer.
    expect(Math.max(...shares)).toBeGreaterThan(2 ** -HALF_BITS / 100);
  });

  it("are refused by an adapter that has none", () => {
    const plain = { ...open, features: new Set<string>() };
    expect(() => makeBackend(plain, { halfFactors: true })).toThrow(/halfFactors needs "shader-f16"/);
  });

  it("are off unless asked for", () => {
    expect(made(false).runtime.products.device.operands).toBe("f32");
  });
});
