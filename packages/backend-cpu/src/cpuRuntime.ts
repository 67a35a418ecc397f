import { BackendError, type Buffer, type Dtype, type Meter, OutOfMemoryError } from "@dfine/tensor";
import type { View } from "@dfine/tensor/kernel";
import { put } from "./kernels/tables.ts";
import { Heap } from "./memory/heap.ts";
import { KeptForms, type WeightForm } from "./memory/keptForms.ts";
import { type CpuRuntime, type Job, launchBytes, MAX_ARGS, type WasmKernel } from "./runtime.ts";
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
  readonly #team: Team | undefined;
  launches = 0;
  milliseconds = 0;

  constructor(team: Team | undefined) {
    this.#team = team;
    team?.measureWaits();
  }

  get waiting(): number {
    return this.#team?.waited ?? 0;
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
  readonly #team: Team | undefined;
  readonly #forms: KeptForms;
  readonly #args: number;
  #failure: BackendError | undefined;
  #meter: KernelMeter | undefined;

  constructor({ threads, relaxedSimd, wide = false, memoryLimitBytes, deadlineMilliseconds }: RuntimeOptions) {
    const shared = threads > 1;
    this.threads = threads;
    this.wide = wide;
    this.heap = new Heap({ shared, limitBytes: memoryLimitBytes });
    this.#forms = new KeptForms(this.heap);
    this.#instances = new Instances(this.heap.memory, { relaxed: relaxedSimd, shared, wide });
    this.#args = this.heap.alloc(launchBytes(threads));
    this.#team = shared ? new Team(this.heap, { threads, deadlineMilliseconds }) : undefined;
  }

  get memory(): WebAssembly.Memory {
    return this.heap.memory;
  }
  /** Kernels compiled so far. */
  get kernelCount(): number {
    return this.#instances.count;
  }
  heapF32(): Float32Array {
    return this.heap.f32();
  }
  heapI32(): Int32Array {
    return this.heap.i32();
  }

  /** Resolves once all threads run. @throws BackendError when they cannot */
  async ready(): Promise<void> {
    await this.#team?.ready();
  }

  launch(kernel: WasmKernel, { args, units, grain }: Job): void {
    this.check();
    if (units <= 0) return;
    if (args.length > MAX_ARGS)
      throw new BackendError(`cpu: ${kernel.name} passes ${args.length} words; ${MAX_ARGS} fit`);
    const loaded = this.#instances.get(kernel);
    put(this.heap.i32(), this.#args / 4, args);
    const step = Math.max(1, Math.ceil(grain));
    const chunks = Math.ceil(units / step);
    const begin = this.#meter && performance.now();
    try {
      if (chunks > 1 && this.#team) this.#team.run(loaded, { args: this.#args, units, grain: step, chunks });
      else
        for (let first = 0; first < units; first += step) loaded.run(this.#args, first, Math.min(units, first + step));
    } catch (error) {
      this.#failure =
        error instanceof BackendError ? error : new BackendError(`cpu: ${kernel.name} failed: ${String(error)}`);
      throw this.#failure;
    }
    this.#meter?.add(performance.now() - begin!);
  }

  /** Measures every kernel from now on. */
  meter(): Meter {
    this.#meter ??= new KernelMeter(this.#team);
    return this.#meter;
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
    const problem = this.#team?.problem;
    if (problem !== undefined) this.#failure ??= new BackendError(`cpu: a worker thread ended: ${problem}`);
    if (this.#failure)
      throw new BackendError(`${this.#failure.message} (the backend is unusable since; make a new one)`);
  }

  dispose(): void {
    this.#team?.dispose();
    this.#failure ??= new BackendError("cpu: this backend was disposed");
  }
}
