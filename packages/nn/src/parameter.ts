import { type Dtype, full, keep, type Shape, type Tensor } from "@dfine/tensor";
import type { Initializer } from "./init.ts";

const initializers = new WeakMap<Tensor, Initializer>();
const derived = new WeakSet<Tensor>();

/** What `parameter` may be told. */
export interface ParameterOptions {
  /** Default f32. */
  readonly dtype?: Dtype;
  /** Whether training changes it; default true. */
  readonly trainable?: boolean;
}

/**
 * A parameter of a module: outside all scopes, and a leaf for gradients if trainable. A drawn one holds zeros until
 * `initialize` or `loadStateDict` fills it, so that nothing is drawn in vain.
 */
export function parameter(shape: Shape, init: Initializer, options: ParameterOptions = {}): Tensor {
  const { dtype = "f32", trainable = true } = options;
  const tensor = keep(full(shape, typeof init === "number" ? init : 0, { dtype }));
  tensor.requiresGrad = trainable;
  initializers.set(tensor, init);
  return tensor;
}

/**
 * A tensor that belongs to a module's state but is not trained: outside all scopes. What the module computes from its
 * configuration alone is `derived`: files may lack it, or hold it in another shape, in which case the module's own stays.
 */
export function buffer(tensor: Tensor, options: { derived?: boolean } = {}): Tensor {
  if (options.derived) derived.add(tensor);
  return keep(tensor);
}

/** Whether `parameter` made it. */
export const isParameter = (tensor: Tensor): boolean => initializers.has(tensor);
/** Whether it is a buffer that is computed from the configuration and need not be in a file. */
export const isDerived = (tensor: Tensor): boolean => derived.has(tensor);
export const initializerOf = (tensor: Tensor): Initializer => initializers.get(tensor) ?? 0;
