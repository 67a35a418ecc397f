import { defineMap } from "@dfine/tensor";
import { perActivation, scalar } from "@dfine/tensor/kernel";

/** activation(x + bias), by activation: what follows a matrix product, in one pass. */
export const biasActivation = perActivation((activation) =>
  defineMap(
    `bias.${activation}`,
    (x, bias) => scalar[activation](x.add(bias)),
    // ReLU of what it gave is that again, with the same slope.
    activation === "relu" ? { recall: (result) => [result, 0] } : {},
  ),
);
