import { defineMap } from "@dfine/tensor";

/** Quotient of whole numbers, i32, without what remains. */
export const quotient = defineMap("quotient", (x, divisor) => x.div(divisor), {
  differentiable: false,
  dtypes: ["i32"],
  inputs: [[0, 9], 3],
});
