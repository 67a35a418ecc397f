import fc from "fast-check";
import { beforeAll, expect, it } from "vitest";
import { bitsTensor, Random, randomBits, referenceBackend, setBackend, uniform, uniformAt } from "./index.ts";

beforeAll(() => setBackend(referenceBackend()));

it("the host draws what the device draws", async () => {
  const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
  await fc.assert(
    fc.asyncProperty(word, word, async (k0, k1) => {
      const bits = await bitsTensor([9], [k0, k1]).data();
      const numbers = await uniform([9], [k0, k1]).data();
      for (let i = 0; i < 9; i++) {
        expect(bits[i]).toBe(randomBits([k0, k1], i));
        expect(numbers[i]).toBe(uniformAt([k0, k1], i));
      }
    }),
  );
});

it("uniform and normal numbers have their moments", () => {
  const random = new Random(3);
  const n = 20000;
  const moments = (draw: () => number): [number, number] => {
    const values = Array.from({ length: n }, draw);
    const mean = values.reduce((a, b) => a + b) / n;
    return [mean, values.reduce((a, v) => a + (v - mean) ** 2, 0) / n];
  };
  const [uniformMean, uniformVariance] = moments(() => random.uniform());
  // Five standard errors.
  expect(Math.abs(uniformMean - 0.5)).toBeLessThan(5 * Math.sqrt(1 / 12 / n));
  expect(Math.abs(uniformVariance - 1 / 12)).toBeLessThan(5 * Math.sqrt(1 / 180 / n));
  const [normalMean, normalVariance] = moments(() => random.normal());
  expect(Math.abs(normalMean)).toBeLessThan(5 / Math.sqrt(n));
  expect(Math.abs(normalVariance - 1)).toBeLessThan(5 * Math.sqrt(2 / n));
});

it("goes on exactly from a saved state, and forks are independent", () => {
  const random = new Random(5);
  for (let i = 0; i < 10; i++) random.uniform();
  const resumed = new Random(JSON.parse(JSON.stringify(random.state)));
  expect([resumed.uniform(), resumed.normal()]).toEqual([random.uniform(), random.normal()]);
  const names = ["a", "b", "epoch 1", "epoch 2"];
  const firsts = names.map((name) => new Random(5).fork(name).uniform());
  expect(new Set(firsts).size).toBe(names.length);
  expect(new Random(5).fork("a").uniform()).toBe(firsts[0]);
});

it("permutations hold every number once", () => {
  fc.assert(
    fc.property(fc.nat(200), fc.nat(), (n, seed) => {
      expect([...new Random(seed).permutation(n)].sort((a, b) => a - b)).toEqual(
        Array.from({ length: n }, (_, i) => i),
      );
    }),
  );
});

it("all orders of four are about equally frequent", () => {
  const counts = new Map<string, number>();
  for (let seed = 0; seed < 24_000; seed++) {
    const order = new Random(seed).permutation(4).join("");
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  // Chi-squared with 23 degrees of freedom: 49.7 is passed once in a thousand.
  const statistic = [...counts.values()].reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
  expect(counts.size).toBe(24);
  expect(statistic).toBeLessThan(49.7);
});

it("every bit is set half of the time, and neighbouring streams and positions are unrelated", () => {
  const samples = 20_000;
  const tallies = Array.from({ length: 3 }, () => new Float64Array(32));
  for (let i = 0; i < samples; i++) {
    const bits = randomBits([7, 0], i);
    [bits, ~(bits ^ randomBits([7, 0], i + 1)), ~(bits ^ randomBits([8, 0], i))].forEach((word, kind) => {
      for (let bit = 0; bit < 32; bit++) tallies[kind]![bit]! += (word >>> bit) & 1;
    });
  }
  // Five standard deviations of a fair coin over 20 000 throws.
  const allowed = 5 * Math.sqrt(samples / 4);
  for (const tally of tallies) for (const count of tally) expect(Math.abs(count - samples / 2)).toBeLessThan(allowed);
});
