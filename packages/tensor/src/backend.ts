import type { Dtype, TypedArray } from "./dtype.ts";
import type { Kernel } from "./kernel/kernel.ts";
import type { Laid } from "./kernel/laid.ts";
import type { OpAttrs } from "./ops/attrs.ts";

/** A region of device memory holding `length` elements. Only the backend that made it can look inside. */
export interface Buffer {
  readonly length: number;
  readonly dtype: Dtype;
}

/** A tensor as a backend sees it: elements, and how to walk them (strides and offset in elements). */
export interface View {
  readonly buffer: Buffer;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly offset: number;
  /**
   * How often its storage was changed in place so far: with the same number and buffer, elements are the same. Undefined
   * for a tensor that gradients flow to, as it is about to change.
   */
  readonly version?: number | undefined;
}

/** An operand of a launch: one stride per kernel axis; `length` elements from `offset` on may be touched by index. */
export interface Binding {
  readonly buffer: Buffer;
  readonly offset: number;
  readonly strides: readonly number[];
  readonly length: number;
}

/** The run-time half of a kernel: what its key leaves out. */
export interface Launch {
  readonly sizes: readonly number[];
  readonly operands: readonly Binding[];
  readonly params: readonly number[];
  /**
   * One and the same object in all launches of a kernel that have these sizes and strides, if any: what a backend derives from
   * them can be kept under it.
   */
  readonly alike?: Alike | undefined;
}

/** What launches have in common. */
export interface Alike {
  /** What they were planned from: a backend may join it with the next one, see `fuse`. */
  readonly laid?: Laid;
}

/** Contiguous elements of a buffer. */
export interface Slice {
  readonly buffer: Buffer;
  readonly offset: number;
  readonly length: number;
}

/** Elements' bytes on the device, now and at their highest. */
export interface MemoryUse {
  readonly bytes: number;
  readonly peakBytes: number;
  readonly buffers: number;
}

/** What kernels have cost so far. */
export interface Meter {
  /** Kernels started; on a device that is driven by commands dispatches and copies. */
  readonly launches: number;
  /** Milliseconds in which they ran and the caller waited for them; undefined where they only queue. */
  readonly milliseconds: number | undefined;
  /** Those of them in which the caller waited for other threads. */
  readonly waiting: number;
  /** Of a device with a clock of its own, on which kernels run beside the caller. */
  readonly clock?: DeviceClock | undefined;
}

/** Times kernels on a device by who started them. */
export interface DeviceClock {
  /** Whose kernels those are that are started from now on; undefined: nobody's. */
  label(name: string | undefined): void;
  /** Resolves when the times of all that was started so far are known. */
  settle(): Promise<void>;
  /** Milliseconds by label, as far as they are known. */
  readonly milliseconds: ReadonlyMap<string, number>;
}

/** Everything a device must do. Implement this and every op, gradient and model runs. */
export interface Backend {
  readonly name: string;
  /** In words, what of the device its speed depends on. */
  readonly details?: string;
  /** Precision of `f32` tensors: 64 only on a reference backend. */
  readonly floatBits: 32 | 64;
  readonly limits: { readonly maxBufferBytes: number; readonly maxBindings: number };
  /** Contents are unspecified. @throws OutOfMemoryError when memory is exhausted, saying what would fit */
  alloc(length: number, dtype: Dtype): Buffer;
  /** Gives memory back. Never throws, not even when the device is lost: what was on it is still given back then. */
  free(buffer: Buffer): void;
  /** Copies data from the host, in order with kernels. */
  write(target: Slice, data: TypedArray): void;
  /**
   * One synchronisation for all of `sources`, after every kernel queued before it. The copies are queued when this
   * returns, so the sources may be freed at once; the arrays are the caller's.
   */
  read(sources: readonly Slice[]): Promise<TypedArray[]>;
  /** Runs a generated kernel. Effects happen in call order; return may be early. */
  run(kernel: Kernel, launch: Launch): void;
  /** Hand-written kernels by op. An op missing here, or declining the shapes, runs its fallback. */
  readonly overrides: Overrides;
  /** Starts queued work (a no-op where nothing queues). */
  flush(): void;
  /**
   * Compiles the kernels that `work` would run, beside each other; absent where compiling takes no time. During the call of
   * `work`, which must not wait, no kernel runs: reads give zeros, and what kernels would write is not written. What the host
   * writes is. While kernels are compiled afterwards, all else goes on. @throws BackendError if `work` returns a promise
   */
  precompile?(work: () => void): Promise<void>;
  /** Counts what kernels cost, from the first call on: what profilers read. Costs nothing before. */
  meter?(): Meter;
  /** What is allocated. */
  memory(): MemoryUse;
  /** Ends the backend; nothing may be called afterwards. */
  dispose(): void;
}

/** A backend's hand-written kernels, by op. */
export type Overrides = { readonly [Name in keyof OpAttrs]?: Override<OpAttrs[Name]> };

/** A hand-written kernel, or several variants of one. */
export interface Override<Attrs> {
  /** Names the kernel that will run, or undefined to decline these shapes. Inputs and outputs are contiguous unless the op says otherwise. */
  select(inputs: readonly View[], attrs: Attrs): string | undefined;
  /** Of an op that would have contiguous inputs: which of these are read as they lie, where they are not. */
  accepts?(inputs: readonly View[], attrs: Attrs): readonly boolean[];
  /** Computes the outputs. */
  run(call: OverrideCall<Attrs>): void;
}

/** One call of a hand-written kernel. */
export interface OverrideCall<Attrs> {
  readonly variant: string;
  readonly inputs: readonly View[];
  readonly outputs: readonly View[];
  readonly attrs: Attrs;
}
