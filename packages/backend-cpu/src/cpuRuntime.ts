import { BackendError, type Buffer, type Dtype, type Meter, OutOfMemoryError } from "@dfine/tensor";
import type { View } from "@dfine/tensor/kernel";
import { Heap } from "./memory/heap.ts";
import { KeptForms, type WeightForm } from "./memory/keptForms.ts";
import { TableRing } from "./memory/tableRing.ts";
import type { WordList } from "./memory/wordList.ts";
import { type CpuRuntime, type Job, MAX_ARGS, OWN_BYTES, type WasmKernel } from "./runtime.ts";
import { Alone } from "./threads/alone.ts";
import type { Launcher } from "./threads/launcher.ts";
import { Team } from "./threads/team.ts";
import { Instances } from "./wasm/instances.ts";

export interface RuntimeOptions {
  readonly threads: number;
  readonly relaxedSimd: boolean;
  readonly wide?: boolean;
  readonly memoryLimitBytes: number;
  readonly deadlineMilliseconds: number;
}

/** Elements in the runtime's memory. */
export interface CpuBuffer extends Buffer {
  readonly pointer: number;
  freed: boolean;
}

/** What kernels have cost. */
class KernelMeter implements Meter {
  readonly #launcher: Launcher;
  launches = 0;
  milliseconds = 0;

  constructor(launcher: Launcher) {
    this.#launcher = launcher;
  }

  get waiting(): number {
    return this.#launcher.waited;
  }

  add(milliseconds: number): void {
    this.launches++;
    this.milliseconds += milliseconds;
  }
}

/** Memory, compiled kernels and threads, tied together. */
export class Runtime implements CpuRuntime {
  readonly threads: number;
  readonly wide: boolean;
  readonly heap: Heap;
  readonly #instances: Instances;
  readonly #launcher: Launcher;
  readonly #forms: KeptForms;
  readonly #tables: TableRing;
  #isDisposed = false;
  #meter: KernelMeter | undefined;

  constructor({ threads, relaxedSimd, wide = false, memoryLimitBytes, deadlineMilliseconds }: RuntimeOptions) {
    const shared = threads > 1;
    this.threads = threads;
    this.wide = wide;
    this.heap = new Heap({ shared, limitBytes: memoryLimitBytes });
    this.#forms = new KeptForms(this.heap);
    const own = this.heap.alloc(threads * OWN_BYTES);
    this.#instances = new Instances({ memory: this.heap.memory, own }, { relaxed: relaxedSimd, shared, wide });
    this.#launcher = shared ? new Team(this.heap, { threads, own, deadlineMilliseconds }) : new Alone(this.heap);
    this.#tables = new TableRing(this.heap, this.#launcher);
  }

  get memory(): WebAssembly.Memory {
    return this.heap.memory;
  }
  /** Kernels compiled so far. */
  get kernelCount(): number {
    return this.#instances.count;
  }
  heapF32(): Float32Array {
    this.#launcher.finish();
    return this.heap.f32();
  }
  heapI32(): Int32Array {
    this.#launcher.finish();
    return this.heap.i32();
  }

  /** Resolves once all threads run. @throws BackendError when they cannot */
  async ready(): Promise<void> {
    await this.#launcher.ready();
  }

  launch(kernel: WasmKernel, { args, units, grain }: Job): void {
    this.check();
    if (units <= 0) return;
    if (args.length > MAX_ARGS)
      throw new BackendError(`cpu: ${kernel.name} passes ${args.length} words; ${MAX_ARGS} fit`);
    const loaded = this.#instances.get(kernel);
    const begin = this.#meter && performance.now();
    this.#launcher.queue(loaded, { args, units, grain: Math.max(1, Math.ceil(grain)) });
    // What a kernel takes is seen when it runs alone.
    if (this.#meter) this.#launcher.finish();
    this.#meter?.add(performance.now() - begin!);
  }

  /** Measures every kernel from now on. */
  meter(): Meter {
    this.#launcher.finish();
    this.#meter ??= new KernelMeter(this.#launcher);
    return this.#meter;
  }

  withTables<T>(tables: readonly WordList[], use: (addresses: number[]) => T): T {
    this.check();
    return this.#tables.withTables(tables, use);
  }

  withScratch<T>(bytes: number, use: (pointer: number) => T): T {
    this.check();
    const pointer = this.heap.alloc(bytes);
    try {
      return use(pointer);
    } finally {
      this.heap.free(pointer, bytes);
    }
  }

  keptForm(weight: View, form: WeightForm): number | undefined {
    this.check();
    return this.#forms.find(weight, form);
  }

  pointer({ buffer, offset }: { readonly buffer: Buffer; readonly offset: number }): number {
    return (buffer as CpuBuffer).pointer + offset * 4;
  }

  alloc(length: number, dtype: Dtype): CpuBuffer {
    this.check();
    return { pointer: this.#take(length * 4), length, dtype, freed: false };
  }
  /** Memory, of which what is kept only to save time is given back first. */
  #take(bytes: number): number {
    try {
      return this.heap.alloc(bytes);
    } catch (error) {
      if (!(error instanceof OutOfMemoryError && this.#forms.clear())) throw error;
      return this.heap.alloc(bytes);
    }
  }
  free(buffer: CpuBuffer): void {
    if (buffer.freed) throw new BackendError(`cpu: a buffer of ${buffer.length} elements is freed twice`);
    buffer.freed = true;
    this.#forms.drop(buffer);
    this.heap.free(buffer.pointer, buffer.length * 4);
  }

  /** Elements of a buffer are written otherwise than by ops. */
  written(buffer: Buffer): void {
    this.#forms.drop(buffer);
  }

  /** Once anything has failed, results cannot be trusted any more. @throws BackendError */
  check(): void {
    const failure = this.#isDisposed ? "this backend was disposed" : this.#launcher.failure;
    if (failure !== undefined)
      throw new BackendError(`cpu: ${failure} (the backend is unusable since; make a new one)`);
  }

  dispose(): void {
    this.#launcher.dispose();
    this.#isDisposed = true;
  }
}
