import { type Backend, backward, readResults, referenceBackend, setBackend, tensor } from "@dfine/tensor";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { NO_PACK, referenceJson } from "../../../../parity/referencePack.ts";
import { differences, expectClose } from "../../test/differences.ts";
import { softmax } from "../../test/lossOracles.ts";
import { distanceToBox } from "../boxes.ts";
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

test("boxes follow a and c as finite differences say, for any N", async () => {
  const parameters = fc.record({
    regMax: fc.integer({ min: 2, max: 16 }).map((half) => 2 * half),
    regScale: fc.double({ min: 0.5, max: 8, noNaN: true }),
    up: fc.double({ min: 0.2, max: 1, noNaN: true }),
    logits: fc.array(fc.double({ min: -2, max: 2, noNaN: true }), { minLength: 132, maxLength: 132 }),
  });
  const [cx, cy, width, height] = [0.5, 0.4, 0.3, 0.2];
  const slopes = [1.5, -0.5, 2, 0.7];
  await fc.assert(
    fc.asyncProperty(parameters, async ({ regMax, regScale, up, logits }) => {
      const bins = regMax + 1;
      const rows = [0, 1, 2, 3].map((edge) => logits.slice(edge * bins, (edge + 1) * bins));
      const [a, scale] = [tensor([up]), tensor([regScale])];
      a.requiresGrad = scale.requiresGrad = true;
      const distances = integral(tensor(rows.flat(), [1, 4 * bins]), binWeights({ up: a, regScale: scale, regMax }));
      const boxes = distanceToBox(tensor([cx, cy, width, height], [1, 4]), distances, scale);
      backward(boxes.mul(tensor(slopes, [1, 4])).sum());
      const summed = ([up, regScale]: readonly number[]): number => {
        const weights = weightingFunction({ regMax, regScale: regScale!, up: up! });
        const moved = rows.map((row) => softmax(row).reduce((sum, p, n) => sum + (p * weights[n]!) / regScale!, 0));
        const [left, top, right, bottom] = moved as [number, number, number, number];
        const box = [
          cx + ((right - left) / 2) * width,
          cy + ((bottom - top) / 2) * height,
          width * (1 + left + right),
          height * (1 + top + bottom),
        ];
        return box.reduce((sum, value, i) => sum + slopes[i]! * value, 0);
      };
      const found = [(await a.grad!.data())[0]!, (await scale.grad!.data())[0]!];
      expectClose(found, differences(summed, [up, regScale]), 1e-6);
    }),
    { numRuns: 30 },
  );
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
