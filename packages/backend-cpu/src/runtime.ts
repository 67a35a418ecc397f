import type { View } from "@dfine/tensor/kernel";
import type { WeightForm } from "./memory/keptForms.ts";
import type { WordList } from "./memory/wordList.ts";

/** A kernel as WebAssembly: one module per key, exporting `run(args: i32, begin: i32, end: i32)`. */
export interface WasmKernel {
  /** Equal keys are the same code; holds no sizes. */
  readonly key: string;
  /** What traces and errors call it. */
  readonly name: string;
  /** Called once per key: the module's bytes (`new Assembler(options)` … `finish()`). */
  build(options: { readonly relaxed: boolean; readonly shared: boolean; readonly wide?: boolean }): Uint8Array;
}

/** A call of a kernel. */
export interface Job {
  /** 32-bit words at `args`: pointers, sizes, and floats as `wordOf` gives them. At most `MAX_ARGS`. */
  readonly args: WordList;
  /** Work units; `run` is called for chunks [begin, end) of them, in any order and on any thread. */
  readonly units: number;
  /** Units per chunk, from shapes alone: results must not depend on the number of threads. */
  readonly grain: number;
}

/** What kernels run on: one memory, its allocator, and threads. */
export interface CpuRuntime {
  /** Threads that take chunks, the caller included. A kernel reads its own index with `Assembler.thread()`. */
  readonly threads: number;
  /** Whether kernels are compiled so that neighbouring vectors merge. No result depends on it. */
  readonly wide: boolean;
  readonly memory: WebAssembly.Memory;
  /** Has every chunk run after all that was launched before. @throws BackendError naming a kernel, this one or one before it */
  launch(kernel: WasmKernel, job: Job): void;
  /** Lends 64-byte aligned memory, contents unspecified, to what `use` launches; may nest. @throws BackendError */
  withScratch<T>(bytes: number, use: (pointer: number) => T): T;
  /** Lends memory with tables of 32-bit words to what `use` launches; may nest. @throws BackendError */
  withTables<T>(tables: readonly WordList[], use: (addresses: number[]) => T): T;
  /** Address of a weight's elements in another form, if the weight is one that is only read: it is kept then. @throws BackendError */
  keptForm(weight: View, form: WeightForm): number | undefined;
  /** Byte address of a view's element 0: unsigned, may exceed 2³¹. */
  pointer(view: Pick<View, "buffer" | "offset">): number;
  /** All of memory, when every launch is done. Fetch anew after anything that may launch or allocate. @throws BackendError */
  heapF32(): Float32Array;
  /** The same memory as whole numbers. */
  heapI32(): Int32Array;
}

/** Words that a launch may pass. */
export const MAX_ARGS = 512;
/** Where constants lie in a thread's own memory, and how many at most; what is before them is for kernels (`Assembler.own`). */
export const CONSTANTS_AT = 512;
export const MOST_CONSTANTS = 128;
/** Bytes that each thread has for itself. */
export const OWN_BYTES = CONSTANTS_AT + MOST_CONSTANTS * 4;
