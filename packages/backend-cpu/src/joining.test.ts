import { add, linear, readResults, relu, scope, softmax, type Tensor, tensor } from "@dfine/tensor";
import { afterAll, expect, it } from "vitest";
import { joinProperties } from "../../tensor/test/joinProperties.ts";
import { cpu } from "./index.ts";

const made = [
  cpu({ threads: 2 }),
  cpu({ threads: 1, wide: false }),
  cpu({ threads: 2 }),
  cpu({ threads: 1, wide: false }),
];
const [wide, narrow, wideAlone, narrowAlone] = made as [
  (typeof made)[0],
  (typeof made)[0],
  (typeof made)[0],
  (typeof made)[0],
];
afterAll(() => {
  for (const backend of made) backend.dispose();
});
// Kernels that are measured start by themselves.
for (const backend of [wideAlone, narrowAlone]) backend.meter!();

joinProperties(
  [
    { waiting: wide, alone: wideAlone },
    { waiting: narrow, alone: narrowAlone },
  ],
  30,
);

const values = (shape: readonly number[]) => tensor(new Float32Array(shape.reduce((a, b) => a * b)).fill(0.5), shape);

/** How many kernels are compiled for what is new to a backend. */
async function compiled(run: (x: Tensor) => Tensor): Promise<number> {
  const backend = cpu({ threads: 1, wide: false });
  await readResults(backend, () => [scope("run", () => run(values([20, 16])))]);
  const count = backend.kernelCount;
  backend.dispose();
  return count;
}

const product = (x: Tensor) => linear(x, values([16, 16]));
const biased = (x: Tensor) => relu(linear(x, values([16, 16]), values([16])));

it("a bias, an activation and what is added are the last act of a product", async () => {
  const alone = await compiled(product);
  expect(await compiled(biased)).toBe(alone);
  expect(await compiled((x) => add(biased(x), x))).toBe(alone);
});

it("a softmax reads what is added up before it", async () => {
  const [sums, rows] = [await compiled((x) => add(x, x)), await compiled((x) => softmax(add(x, x)))];
  expect(rows).toBe(sums);
});
