import type { Dtype } from "@dfine/tensor";
import type { View } from "@dfine/tensor/kernel";
import type { Tuning } from "../swiftshader/tuning.ts";
import type { WgslCall, WgslKernel } from "./wgslKernel.ts";

/** What hand-written kernels run on. */
export interface GpuRuntime {
  readonly tuning: Tuning;
  /** Offered and asked for: "shader-f16", "subgroups", "timestamp-query". */
  readonly features: ReadonlySet<string>;
  /** Appends a dispatch; it runs after all before and before all after it. @throws BackendError naming the kernel */
  dispatch<B extends string, U extends string>(kernel: WgslKernel<B, U>, call: WgslCall<B, U>): void;
  /** Lends a buffer, one-dimensional and with unspecified contents, while `use` appends the dispatches that need it; may nest. @throws BackendError */
  withScratch<T>(length: number, dtype: Dtype, use: (scratch: View) => T): T;
}
