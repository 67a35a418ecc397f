import { anything, callable, flag, type OptionRules, oneOf, real, thing, whole } from "@dfine/tensor";
import type { Overrides } from "@dfine/tensor/kernel";
import type { GpuRuntime } from "./kernels/runtime.ts";
import type { TunedChoices } from "./tuner/choices.ts";

/** What `webgpu` may be told. */
export interface WebGpuOptions {
  /** Bytes of device memory that may be used, blocks kept for reuse included. Default: what the device gives. */
  readonly memoryLimitBytes?: number;
  /**
   * Bytes that cross between host and device at a time, and most bytes kept for the next read; larger reads and writes are
   * cut. Default 2²⁶; least 256.
   */
  readonly stagingBytes?: number;
  /** Whether generated kernels may fold with workgroup memory. Default: yes, but not on software adapters. */
  readonly barriers?: boolean;
  /**
   * Whether `precompile` does anything. Default: yes, but not on software adapters, where compiling takes the cores that
   * kernels run on, and a first step with it lasts longer.
   */
  readonly compileAhead?: boolean;
  /** Storage buffers that a kernel may bind; default and most: the device's limit. */
  readonly maxBindings?: number;
  /**
   * Element visits, or multiplications of a product, of one dispatch, and of what goes to the device together. Default: what
   * takes a tenth of a second, as it was measured while kernels were compiled ahead, or as it is assumed of such an adapter.
   */
  readonly visitsPerDispatch?: number;
  /**
   * How the kernels of products are chosen: "fixed" by rules alone, "measured" by timing those that can run, once for each class
   * of products, when kernels are compiled ahead. Default: measured in Node on hardware, where the choices are kept in the
   * user's cache folder; else fixed. Both take the `choices` that are given.
   */
  readonly tuning?: "fixed" | "measured";
  /** What was measured before on such an adapter; that of others is left alone. */
  readonly choices?: TunedChoices;
  /** Seconds of measuring after which no further class of products is begun; default 30. */
  readonly tuningSeconds?: number;
  /**
   * Whether products round their factors to 16 bits (f16, at most 65504) in workgroup memory; sums are float32. Needs the
   * adapter's "shader-f16". Default: no.
   */
  readonly halfFactors?: boolean;
  /** Element visits from which on kernels go along their innermost axis by four on software adapters, default 2²⁰. */
  readonly quadVisits?: number;
  /**
   * Counts kernels, and times them where timestamps are offered, which costs a pass for each; `kernelTimes()` tells.
   * Default: in Node, whether TRACE is set, and then they are listed on stderr in the end.
   */
  readonly trace?: boolean;
  /** Hand-written kernels of yours, for ops of yours (`defineOp`) or in place of the backend's own. */
  readonly kernels?: (runtime: GpuRuntime) => Overrides;
  /** Ops whose hand-written kernels are not used. Default: in Node, those of DISABLE=op,op. */
  readonly disable?: readonly string[];
}

/** What each option takes. */
export const WEBGPU_OPTIONS: OptionRules<WebGpuOptions> = {
  ...{ memoryLimitBytes: real, stagingBytes: real, maxBindings: whole(1), visitsPerDispatch: real, quadVisits: real },
  ...{ barriers: flag, compileAhead: flag, halfFactors: flag, trace: flag },
  ...{ tuning: oneOf(["fixed", "measured"]), choices: thing, tuningSeconds: real },
  ...{ kernels: callable, disable: anything },
};
