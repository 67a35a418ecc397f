import type { Dtype } from "@dfine/tensor";
import type { View } from "@dfine/tensor/kernel";
import type { Limits } from "../device/workLimits.ts";
import type { Tuning } from "../swiftshader/tuning.ts";
import type { PlannedProduct } from "./product/plan.ts";
import type { ProductDevice } from "./product/shapes.ts";
import type { BufferView, WgslCall, WgslKernel } from "./wgslKernel.ts";

/** The views of a product: its factors by name, and C. */
export interface ProductViews {
  readonly factors: Readonly<Record<string, BufferView>>;
  readonly c: BufferView;
}

/** A product that is about to run. */
export interface MetProduct extends ProductViews {
  readonly product: PlannedProduct;
  /** The same product without its epilogue, of other views whose buffers are as long. */
  readonly run: (runtime: GpuRuntime, views: ProductViews) => void;
}

/** What products follow, and whom they tell. */
export interface Products {
  readonly device: ProductDevice;
  /** Name of the kernel that was measured to be best for a class of products. */
  choiceOf(productClass: string): string | undefined;
  readonly onProduct?: ((met: MetProduct) => void) | undefined;
}

/** to[i] = Σ partials[part, i], for `length` elements. */
export interface PartedSum {
  readonly to: BufferView;
  readonly length: number;
  readonly parts: number;
}

/** What hand-written kernels run on. */
export interface GpuRuntime {
  readonly tuning: Tuning;
  /** How much work goes to the device at a time. */
  readonly limits: Limits;
  /** What this package's own products follow. */
  readonly products: Products;
  /** Offered and asked for: "shader-f16", "subgroups", "timestamp-query". */
  readonly features: ReadonlySet<string>;
  /** Appends a dispatch; it runs after all before and before all after it. @throws BackendError naming the kernel */
  dispatch<B extends string, U extends string>(kernel: WgslKernel<B, U>, call: WgslCall<B, U>): void;
  /** Lends a buffer, one-dimensional and with unspecified contents, while `use` appends the dispatches that need it; may nest. @throws BackendError */
  withScratch<T>(length: number, dtype: Dtype, use: (scratch: View) => T): T;
  /** Has the parts that `write` puts into `partials` added up by the time that somebody sees `to`. */
  addUp(sum: PartedSum, write: (partials: BufferView) => void): void;
  /** Appends the dispatches of what `addUp` has put off. */
  settle(): void;
}
