import { Fusion, type FusionOptions, type Laid } from "@dfine/tensor/kernel";
import { EPILOGUE_NAMES } from "./kernels/epilogue.ts";

/** Hand-written kernels whose sums an elementwise kernel may finish: by op, the variant that can. */
const PRODUCTS: Readonly<Record<string, string>> = { matmul: "gemm", conv2dInputGrad: "pointwise" };
export const isProduct = (op: string, variant: string): boolean => PRODUCTS[op] === variant;

/** A product's factors, its result, and operands of what follows it. */
const MOST_BINDINGS = 3 + EPILOGUE_NAMES.length;

/**
 * Kernels wait for the next one: an elementwise one becomes the last act of the product before it, or goes together with the one that
 * reads what it writes. That saves ways through memory; starting a kernel costs little here. No number depends on it.
 */
export const joining = (options: Pick<FusionOptions, "run" | "free" | "orderOf">): Fusion =>
  new Fusion({
    ...options,
    blockOf: (buffer) => buffer,
    maxBindings: MOST_BINDINGS,
    repeats: false,
    suits: (first, second, shared) => isElementwise(first) && handsOn(first, shared) && goesAlongRows(second),
  });

const isElementwise = ({ reduced }: Laid): boolean => reduced.length === 0;

/** Whether a program writes what another has as an operand. */
const handsOn = ({ program }: Laid, shared: readonly number[]): boolean =>
  shared.some((own) => own >= 0 && program.operands[own]!.mode !== "read");

/** Whether a program goes along rows, as elementwise ones do. */
const goesAlongRows = ({ shape, reduced }: Laid): boolean =>
  reduced.every((axis) => axis >= shape.length - reduced.length);
