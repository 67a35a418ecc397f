import type { Buffer, Dtype } from "@dfine/tensor";
import type { View } from "@dfine/tensor/kernel";
import type { WeightForm } from "../src/memory/keptForms.ts";
import { put, type WordList } from "../src/memory/wordList.ts";
import { type CpuRuntime, type Job, MAX_ARGS, OWN_BYTES, type WasmKernel } from "../src/runtime.ts";

interface TestBuffer extends Buffer {
  readonly pointer: number;
}

export interface TestRuntimeOptions {
  readonly relaxed?: boolean;
  readonly wide?: boolean;
  /** Thread indices dealt out to chunks; with more than one, chunks also run in scrambled order. */
  readonly threads?: number;
  /** Whether its views are of tensors that are only read, so that forms of them are kept. */
  readonly keeps?: boolean;
  /** Address of the first allocation: above 2³¹ it finds signed address arithmetic. */
  readonly base?: number;
}

const GUARD_WORDS = 16;
// As a float 1.26: adding to it shows.
const GUARD = 0x3fa1ab1e;
const PAGE = 65536;

/**
 * Runs kernels on this thread only, in an order that real threads would rarely find. Everything it lends is NaN until
 * written and lies between guard words, which `check` and every return of scratch verify.
 */
export class TestRuntime implements CpuRuntime {
  readonly threads: number;
  readonly wide: boolean;
  readonly memory: WebAssembly.Memory;
  readonly launches: string[] = [];
  readonly #relaxed: boolean;
  readonly #keeps: boolean;
  readonly #instances = new Map<string, ((args: number, begin: number, end: number) => void)[]>();
  readonly #args: number;
  readonly #own: number;
  readonly #base: number;
  #top: number;
  #live: { pointer: number; bytes: number }[] = [];

  constructor({ relaxed = false, wide = false, keeps = false, threads = 1, base = 64 }: TestRuntimeOptions = {}) {
    this.threads = threads;
    this.wide = wide;
    this.#relaxed = relaxed;
    this.#keeps = keeps;
    this.memory = new WebAssembly.Memory({ initial: Math.ceil(base / PAGE) + 64, maximum: PAGE, shared: true });
    this.#top = base;
    this.#args = this.#take(MAX_ARGS * 4);
    this.#own = this.#take(threads * OWN_BYTES);
    this.#base = this.#top;
  }

  heapF32(): Float32Array {
    return new Float32Array(this.memory.buffer);
  }
  heapI32(): Int32Array {
    return new Int32Array(this.memory.buffer);
  }
  pointer({ buffer, offset }: Pick<View, "buffer" | "offset">): number {
    return (buffer as TestBuffer).pointer + offset * 4;
  }

  launch(kernel: WasmKernel, { args, units, grain }: Job): void {
    this.launches.push(kernel.key);
    const runs = this.#instance(kernel);
    this.heapI32().set(args, this.#args / 4);
    const step = Math.max(1, Math.ceil(grain));
    const chunks = Array.from({ length: Math.ceil(units / step) }, (_, i) => i);
    // Evens backwards, then odds: neighbours never follow each other.
    const order =
      this.threads === 1 ? chunks : [...chunks.filter((i) => i % 2 === 0).reverse(), ...chunks.filter((i) => i % 2)];
    order.forEach((chunk, i) => {
      runs[(i * 7 + 1) % this.threads]!(this.#args, chunk * step, Math.min(units, (chunk + 1) * step));
    });
  }

  withScratch<T>(bytes: number, use: (pointer: number) => T): T {
    const top = this.#top;
    const pointer = this.#take(bytes);
    try {
      const result = use(pointer);
      this.check();
      return result;
    } finally {
      this.#live.pop();
      this.#top = top;
    }
  }

  withTables<T>(tables: readonly WordList[], use: (addresses: number[]) => T): T {
    return this.withScratch(
      tables.reduce((sum, { length }) => sum + length * 4, 0),
      (scratch) => {
        let at = scratch / 4;
        return use(
          tables.map((table) => {
            at = put(this.heapI32(), at, table);
            return (at - table.length) * 4;
          }),
        );
      },
    );
  }

  keptForm({ version }: View, { bytes, make }: WeightForm): number | undefined {
    if (version === undefined) return undefined;
    const pointer = this.#take(bytes);
    make(pointer);
    this.check();
    return pointer;
  }

  /** A contiguous view of new memory: the data, or NaN. */
  view(shape: readonly number[], data?: ArrayLike<number>, dtype: Dtype = "f32"): View {
    const length = shape.reduce((a, b) => a * b, 1);
    const pointer = this.#take(length * 4);
    if (data) (dtype === "f32" ? this.heapF32() : this.heapI32()).set(data, pointer / 4);
    let step = 1;
    const strides = shape.map(() => 0);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      strides[axis] = step;
      step *= shape[axis]!;
    }
    const buffer: TestBuffer = { length, dtype, pointer };
    return { buffer, dtype, shape, strides, offset: 0, version: this.#keeps ? 0 : undefined };
  }

  /** The elements of a contiguous view. */
  read(view: View): number[] {
    const start = this.pointer(view) / 4;
    const length = view.shape.reduce((a, b) => a * b, 1);
    return [...(view.dtype === "f32" ? this.heapF32() : this.heapI32()).subarray(start, start + length)];
  }

  /** @throws Error when a kernel wrote outside what it was given */
  check(): void {
    const words = this.heapI32();
    for (const { pointer, bytes } of this.#live)
      for (let i = 0; i < GUARD_WORDS; i++)
        for (const [at, side] of [
          [pointer / 4 - 1 - i, "before"],
          [(pointer + bytes) / 4 + i, "after"],
        ] as const)
          if (words[at] !== GUARD)
            throw new Error(`a kernel of ${this.launches.slice(-4)} wrote ${i + 1} words ${side} its memory`);
  }

  /** Forgets everything allocated. */
  reset(): void {
    this.#top = this.#base;
    this.#live = [];
  }

  #take(bytes: number): number {
    const words = Math.ceil(bytes / 4);
    const pointer = Math.ceil((this.#top + GUARD_WORDS * 4) / 64) * 64;
    const end = pointer + words * 4 + GUARD_WORDS * 4;
    const missing = end - this.memory.buffer.byteLength;
    if (missing > 0) this.memory.grow(Math.ceil(missing / PAGE) + 64);
    const heap = this.heapI32();
    heap.fill(GUARD, pointer / 4 - GUARD_WORDS, pointer / 4);
    heap.fill(-1, pointer / 4, pointer / 4 + words);
    heap.fill(GUARD, pointer / 4 + words, end / 4);
    this.#top = end;
    this.#live.push({ pointer, bytes: words * 4 });
    return pointer;
  }

  #instance(kernel: WasmKernel): ((args: number, begin: number, end: number) => void)[] {
    let runs = this.#instances.get(kernel.key);
    if (!runs) {
      const bytes = kernel.build({ relaxed: this.#relaxed, shared: true, wide: this.wide });
      const module = new WebAssembly.Module(bytes as BufferSource);
      runs = Array.from({ length: this.threads }, (_, thread) => {
        const { exports } = new WebAssembly.Instance(module, {
          env: { memory: this.memory, thread, own: this.#own + thread * OWN_BYTES },
        });
        return exports.run as (args: number, begin: number, end: number) => void;
      });
      this.#instances.set(kernel.key, runs);
    }
    return runs;
  }
}
