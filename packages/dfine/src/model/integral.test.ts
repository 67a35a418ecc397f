import { type Backend, backward, readResults, referenceBackend, setBackend, tensor } from "@dfine/tensor";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { NO_PACK, referenceJson } from "../../../../parity/referencePack.ts";
import { binWeights, integral } from "./integral.ts";
import { weightingFunction } from "./weighting.ts";

const double = referenceBackend({ floatBits: 64 });
const single = referenceBackend();

beforeAll(() => setBackend(double));

const weightsOf = async (backend: Backend, given: { regMax: number; regScale: number; up: number }) => {
  const [weights] = await readResults(backend, () => {
    const regScale = Number.isInteger(given.regScale)
      ? tensor(Int32Array.from([given.regScale]))
      : tensor([given.regScale]);
    return [binWeights({ up: tensor([given.up]), regScale, regMax: given.regMax })];
  });
  return weights!;
};

describe("binWeights", () => {
  const parameters = fc.record({
    regMax: fc.integer({ min: 2, max: 32 }).map((half) => 2 * half),
    regScale: fc.oneof(fc.integer({ min: 1, max: 16 }), fc.double({ min: 0.5, max: 16, noNaN: true })),
    up: fc.double({ min: 0.1, max: 2, noNaN: true }),
  });

  test("is the weighting function on the device, in its precision", async () => {
    await fc.assert(
      fc.asyncProperty(parameters, async (given) => {
        const expected = weightingFunction(given);
        const [exact, rounded] = [await weightsOf(double, given), await weightsOf(single, given)];
        const bound = 1 + given.up * given.regScale;
        expected.forEach((value, n) => {
          expect(Math.abs(exact[n]! - value)).toBeLessThan(1e-13 * bound);
          // Rounding of logarithm and exponent, whose argument is below ln 33.
          expect(Math.abs(rounded[n]! - value)).toBeLessThan(8 * 2 ** -24 * bound * (1 + Math.log(bound)));
        });
      }),
    );
  });
});

describe("integral", () => {
  test("of a single certain bin is its weight, of equal bins the mean", async () => {
    const weights = tensor([-4, -1, 0, 1.5, 4]);
    const logits = [0, 1, 3, 4].flatMap((bin) => [0, 1, 2, 3, 4].map((n) => (n === bin ? 800 : -800)));
    expect([...(await integral(tensor(logits, [1, 20]), weights).data())]).toEqual([-4, -1, 1.5, 4]);
    const even = await integral(tensor(new Float64Array(20).fill(3), [1, 20]), weights).data();
    expect(even[2]!).toBeCloseTo(0.1, 12);
  });

  test("agrees with the reference pack, gradients too", async (context) => {
    type JsonTensor = { shape: number[]; data: number[] };
    const unit =
      referenceJson<Record<"logits" | "out" | "grad_out" | "grad_logits", JsonTensor>>("units/integral.json");
    if (!unit) return context.skip(NO_PACK);
    const logits = tensor(unit.logits.data, unit.logits.shape);
    logits.requiresGrad = true;
    const weights = binWeights({ up: tensor([0.5]), regScale: tensor([4]), regMax: 32 });
    const out = integral(logits, weights);
    backward(out, tensor(unit.grad_out.data, unit.grad_out.shape));
    const [values, gradient] = [await out.data(), await logits.grad!.data()];
    unit.out.data.forEach((expected, i) => {
      expect(Math.abs(values[i]! - expected)).toBeLessThanOrEqual(1e-7 * (1 + Math.abs(expected)));
    });
    unit.grad_logits.data.forEach((expected, i) => {
      expect(Math.abs(gradient[i]! - expected)).toBeLessThanOrEqual(1e-7 * (1 + Math.abs(expected)));
    });
  });
});
