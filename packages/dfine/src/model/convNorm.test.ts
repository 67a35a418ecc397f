import {
  backward,
  concat,
  Random,
  readResults,
  referenceBackend,
  setBackend,
  sum,
  type Tensor,
  tensor,
  upsampleNearest,
} from "@dfine/tensor";
import fc from "fast-check";
import { beforeAll, test } from "vitest";
import { expectClose } from "../../test/differences.ts";
import { ConvNorm } from "./convNorm.ts";

const double = referenceBackend({ floatBits: 64 });
beforeAll(() => setBackend(double));

test("channels of a map of half the size are convolved before they are repeated, with the same results and gradients", async () => {
  const size = fc.integer({ min: 1, max: 4 });
  await fc.assert(
    fc.asyncProperty(fc.tuple(size, size, size, size, size, size), fc.integer(), async (sizes, seed) => {
      const [images, coarse, fine, out, height, width] = sizes;
      const results = (way: "apart" | "together") =>
        readResults(double, () => {
          const random = new Random(seed);
          const normal = (shape: number[]): Tensor => {
            const values = Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal());
            const made = tensor(values, shape);
            made.requiresGrad = true;
            return made;
          };
          const module = new ConvNorm(coarse + fine, out, { kernel: 1, activation: "silu" });
          const inputs = [
            normal([images, fine, 2 * height, 2 * width]),
            normal([images, coarse, height, width]),
          ] as const;
          const weight = normal([out, coarse + fine, 1, 1]);
          module.loadStateDict(new Map([...module.stateDict(), ["conv.weight", weight]]));
          const y =
            way === "apart" ? module.call(...inputs) : module.call(concat([upsampleNearest(inputs[1]), inputs[0]], 1));
          backward(sum(y.mul(normal([images, out, 2 * height, 2 * width]))));
          return [y, ...inputs.map(({ grad }) => grad!), ...[...module.namedParameters().values()].map((p) => p.grad!)];
        });
      const [apart, together] = [await results("apart"), await results("together")];
      for (const [i, values] of together.entries()) expectClose(apart[i]!, values, 1e-9);
    }),
    { numRuns: 30 },
  );
});
