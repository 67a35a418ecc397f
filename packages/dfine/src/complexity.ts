import { noGrad, type OpCall, recordCalls, scope, type Tensor, zeros } from "@dfine/tensor";
import { onPaper } from "./checkpoint/onPaper.ts";
import type { ModelConfig } from "./model/architectures.ts";

/** What a detector is made of and asks for, as papers count it: one image of the usual size. */
export interface Complexity {
  /** Parameters, trained or not; running statistics are none. Of D-FINE those of the deploy form, of other DETRs all. */
  readonly parameters: number;
  /** Operations of convolutions and matrix products, in 10⁹, a multiply-add being two. */
  readonly gflops: number;
}

/** Products that go into one element of what an op gives, by the op's name. */
const PRODUCTS: Readonly<Record<string, (inputs: readonly Tensor[]) => number>> = {
  matmul: ([a]) => a!.shape.at(-1)!,
  conv2d: productsOfConv,
  conv2dAct: productsOfConv,
  scaledDotProductAttention: productsOfAttention,
};

function productsOfConv([, weight]: readonly Tensor[]): number {
  const [, channels, height, width] = weight!.shape as [number, number, number, number];
  return channels * height * width;
}

/** Of each key with the query, and of its weight with the value, shared by the value's channels. */
function productsOfAttention([, key, value]: readonly Tensor[]): number {
  const [keys, depth, channels] = [key!.shape[2]!, key!.shape[3]!, value!.shape[3]!];
  return keys * (depth / channels + 1);
}

/** Which form of a detector its papers count the parameters of. */
const COUNTED = { dfine: "deploy form", detr: "all" } as const satisfies Record<ModelConfig["architecture"], string>;

/** Counts parameters and operations of a detector, without making it: docs/specification.md §2 counts alike. */
export function complexityOf(model: ModelConfig): Complexity {
  let operations = 0;
  const see = ({ name, inputs, outputs }: OpCall): void => {
    operations += 2 * outputs[0]!.size * (PRODUCTS[name]?.(inputs) ?? 0);
  };
  const parameters = onPaper(model, (detector) => {
    const whole = detector.parameterCount();
    const deployed = detector.fuse();
    const images = zeros([1, 3, ...model.evalSize]);
    noGrad(() => recordCalls(() => scope("complexity", () => void deployed.predictions(images)), { see }));
    images.dispose();
    return COUNTED[model.architecture] === "deploy form" ? deployed.parameterCount() : whole;
  });
  return { parameters, gflops: operations / 1e9 };
}
