import { backward, noGrad, Random, referenceBackend, type Tensor, tensor, withBackend } from "@dfine/tensor";
import fc from "fast-check";
import { expect, test } from "vitest";
import { initialize } from "../initialize.ts";
import { Dropout, setDropout } from "./dropout.ts";
import { MultiHeadAttention } from "./multiHeadAttention.ts";

const backend = referenceBackend({ floatBits: 64, poison: true });
const drawn = (shape: number[], name = "x"): Tensor => {
  const random = new Random(4).fork(name);
  const values = Float64Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.normal());
  return tensor(values, shape, { backend });
};
const numbers = async (t: Tensor): Promise<number[]> => [...(await t.data())];
function dropping(share: number, seed = 1): Dropout {
  const dropout = new Dropout();
  setDropout(dropout, { share, random: new Random(seed) });
  return dropout;
}

test("drops as many elements as it says, and divides the others by the probability that they stay", async () => {
  await fc.assert(
    fc.asyncProperty(fc.double({ min: 0.02, max: 0.95, noNaN: true }), fc.integer(), async (share, seed) => {
      const x = drawn([40, 50]);
      const [before, after] = [await numbers(x), await numbers(dropping(share, seed).call(x, "here"))];
      const dropped = after.filter((value) => value === 0).length;
      expect(Math.abs(dropped - 2000 * share)).toBeLessThan(6 * Math.sqrt(2000 * share * (1 - share)));
      after.forEach((value, i) => {
        if (value !== 0) expect(value).toBeCloseTo(before[i]! / (1 - share), 9);
      });
    }),
    { numRuns: 30 },
  );
});

test("drops the same again, and something else at another place, in another module and with other numbers", async () => {
  const x = tensor(new Float64Array(64).fill(1), [64], { backend });
  const one = dropping(0.5);
  const pair = new (class extends Dropout {
    readonly inner = new Dropout();
  })();
  setDropout(pair, { share: 0.5, random: new Random(1) });
  const text = async (dropout: Dropout, place: string) => (await numbers(dropout.call(x, place))).join();
  expect(await text(one, "here")).toBe(await text(dropping(0.5), "here"));
  expect(await text(pair, "here")).toBe(await text(one, "here"));
  const others = [
    await text(one, "here"),
    await text(one, "there"),
    await text(pair.inner, "here"),
    await text(dropping(0.5, 2), "here"),
  ];
  expect(new Set(others).size).toBe(4);
});

test("changes nothing outside training, before it is told to, and with a share of 0", () => {
  const x = drawn([3, 4]);
  expect(dropping(0.5).eval().call(x, "here")).toBe(x);
  expect(new Dropout().call(x, "here")).toBe(x);
  expect(dropping(0).call(x, "here")).toBe(x);
});

test("gradients go where elements stayed", async () => {
  const x = drawn([20, 5]);
  x.requiresGrad = true;
  const y = dropping(0.3).call(x, "here");
  const kept = (await numbers(y)).map((value) => (value === 0 ? 0 : 1 / 0.7));
  backward(y.sum());
  (await numbers(x.grad!)).forEach((value, i) => {
    expect(value).toBeCloseTo(kept[i]!, 12);
  });
  expect(new Set(kept).size).toBe(2);
});

test("attention that drops almost nothing is attention, and one that drops half is not", async () => {
  using attention = withBackend(backend, () => new MultiHeadAttention(8, 2));
  initialize(attention, new Random(2));
  const [query, value] = [drawn([2, 5, 8], "q"), drawn([2, 5, 8], "v")];
  const blocked = Array.from({ length: 25 }, (_, i) => (i % 4 === 1 ? Number.NEGATIVE_INFINITY : 0));
  for (const bias of [undefined, tensor(blocked, [5, 5], { backend })]) {
    const run = async () => await numbers(noGrad(() => attention.call({ query, value, bias })));
    setDropout(attention, { share: 0, random: new Random(1) });
    const whole = await run();
    const far = async (share: number) => {
      setDropout(attention, { share, random: new Random(1) });
      return Math.max(...(await run()).map((number, i) => Math.abs(number - whole[i]!)));
    };
    expect(await far(1e-9)).toBeLessThan(1e-8);
    expect(await far(0.5)).toBeGreaterThan(0.01);
  }
});
