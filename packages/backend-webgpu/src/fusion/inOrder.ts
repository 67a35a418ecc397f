import type { Fusion, Override, Overrides } from "@dfine/tensor/kernel";
import type { Folds } from "../folds/folds.ts";

/** Hand-written kernels behind what waits; those of `products` take a `FinishedCall`, and wait themselves. */
export function inOrder(
  overrides: Overrides,
  {
    fusion,
    folds,
    products,
    after,
  }: { fusion: Fusion; folds: Folds; products: () => readonly string[]; after: () => void },
): Overrides {
  const behind = ([op, { run, ...others }]: [string, Override<unknown>]): [string, Override<unknown>] => [
    op,
    {
      ...others,
      run(call) {
        folds.beforeCall(call);
        if (products().includes(op)) fusion.multiply({ call, run });
        else {
          fusion.flush();
          run(call);
        }
        after();
      },
    },
  ];
  return Object.fromEntries(Object.entries(overrides as Record<string, Override<unknown>>).map(behind));
}
