import { defineMap } from "@dfine/tensor";
import { type Activation, type Expr, scalar } from "@dfine/tensor/kernel";

const activations = Object.keys(scalar) as Activation[];

/** activation(x + bias), by activation: what follows a matrix product, in one pass. */
export const biasActivation = Object.fromEntries(
  activations.map((activation) => [
    activation,
    defineMap(`bias.${activation}`, (x, bias) => scalar[activation](x.add(bias))),
  ]),
) as Record<Activation, ReturnType<typeof defineMap<[Expr, Expr]>>>;
