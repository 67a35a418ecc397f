import { maxPool2d, type OpAttrs, sizeOf, type Tensor, type TypedArray, tensor } from "@dfine/tensor";
import { afterAll, describe, expect, it } from "vitest";
import { pooledShape, poolProperties } from "../../../tensor/test/poolProperties.ts";
import { numbers } from "../../../tensor/test/sums.ts";
import { bothKinds, evaluate, f32, type Input, i32, reference } from "../../test/opKit.ts";
import type { WebGpuBackend } from "../backend.ts";

const kinds = await bothKinds();
afterAll(() => {
  for (const [, backend] of kinds) backend.dispose();
});

/** Runs an override on tensors of its own: any attributes, also those that no public op has. */
function runOverride<Name extends keyof OpAttrs>(
  backend: WebGpuBackend,
  name: Name,
  call: { inputs: readonly Input[]; outputs: readonly Input[]; attrs: OpAttrs[Name] },
): Promise<TypedArray[]> {
  const make = ({ values, shape }: Input): Tensor => tensor(values, shape, { backend });
  const [inputs, outputs] = [call.inputs.map(make), call.outputs.map(make)];
  const override = backend.overrides[name]!;
  const views = inputs.map((input) => input.view);
  const variant = override.select(views, call.attrs)!;
  override.run({ variant, inputs: views, outputs: outputs.map((output) => output.view), attrs: call.attrs });
  return Promise.all(outputs.map((output) => output.data()));
}

const blank = (shape: readonly number[]): Float32Array => new Float32Array(sizeOf(shape)).fill(Number.NaN);

describe.each(kinds)("%s", (_, backend) => {
  poolProperties(
    {
      async pool(test, x) {
        const shape = pooledShape(test);
        const [values, indices] = await runOverride(backend, "maxPool2d", {
          inputs: [f32(x, test.shape)],
          outputs: [f32(blank(shape), shape), i32(blank(shape), shape)],
          attrs: test,
        });
        return [{ values: values!, indices: indices! }];
      },
      poolGrad(test, { dy, indices }) {
        const shape = pooledShape(test);
        return runOverride(backend, "maxPool2dGrad", {
          inputs: [f32(dy, shape), i32(indices, shape)],
          outputs: [f32(blank(test.shape), test.shape)],
          attrs: { inputSize: [test.shape[2], test.shape[3]] },
        });
      },
    },
    { runs: 60 },
  );

  it("writes nothing but its outputs, and agrees with the reference", async () => {
    const input = f32(
      numbers(2 * 3 * 13 * 11).map((v) => Math.round(v * 3) + 0),
      [2, 3, 13, 11],
    );
    const run = ([x]: readonly Tensor[]) => [maxPool2d(x!, 3, { stride: 2, padding: 1 })];
    expect(await evaluate(backend, [input], run)).toEqual(await evaluate(reference, [input], run));
  });

  it("drops indices outside the plane", async () => {
    const [dx] = await runOverride(backend, "maxPool2dGrad", {
      inputs: [f32([1, 2, 3, 4, 5, 6], [1, 1, 2, 3]), i32([-1, 3, 4, 0, 3, 2 ** 31 - 1], [1, 1, 2, 3])],
      outputs: [f32(new Float32Array(4).fill(Number.NaN), [1, 1, 2, 2])],
      attrs: { inputSize: [2, 2] },
    });
    expect([...dx!]).toEqual([4, 0, 0, 7]);
  });
});
