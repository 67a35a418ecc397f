import { type Activation, defineMap, type Expr, scalar } from "@dfine/tensor";

const activations = Object.keys(scalar) as Activation[];

/** scale · activation(x + bias) + shift, by activation: what follows a matrix product or convolution, in one pass. */
export const biasActivation = Object.fromEntries(
  activations.map((activation) => [
    activation,
    defineMap(`bias.${activation}`, (x, bias, scale, shift) => scalar[activation](x.add(bias)).mul(scale).add(shift)),
  ]),
) as Record<Activation, ReturnType<typeof defineMap<[Expr, Expr, Expr, Expr]>>>;
