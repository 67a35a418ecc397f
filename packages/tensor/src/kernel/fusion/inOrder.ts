import type { Override, OverrideCall, Overrides } from "../../backend.ts";
import type { Fusion } from "./fusion.ts";

/** Which hand-written kernels wait, and what else does. */
export interface Order {
  /** Whether a variant of an op takes a `FinishedCall`: it waits for what may become its last act. */
  readonly isProduct: (op: string, variant: string) => boolean;
  /** Called before each call that may see what waits elsewhere. */
  readonly before?: (call: OverrideCall<unknown>) => void;
}

/** Hand-written kernels behind what waits. */
export function inOrder(overrides: Overrides, fusion: Fusion, { isProduct, before }: Order): Overrides {
  const behind = ([op, override]: [string, Override<unknown>]): [string, Override<unknown>] => [
    op,
    {
      ...override,
      run(call) {
        before?.(call);
        if (isProduct(op, call.variant)) fusion.multiply({ call, run: (own) => override.run(own) });
        else {
          fusion.flush();
          override.run(call);
        }
      },
    },
  ];
  return Object.fromEntries(Object.entries(overrides as Record<string, Override<unknown>>).map(behind));
}
