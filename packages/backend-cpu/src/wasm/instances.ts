import { BackendError } from "@dfine/tensor";
import { memo } from "@dfine/tensor/kernel";
import type { WasmKernel } from "../runtime.ts";
import { Assembler, type AssemblerOptions } from "./assembler.ts";
import { compileOptimized, leavingClean, type Run } from "./wide.ts";

/** A kernel compiled for the calling thread. */
export interface LoadedKernel {
  readonly name: string;
  /** Counts loaded kernels; names the kernel to other threads. */
  readonly number: number;
  readonly bytes: Uint8Array;
  readonly module: WebAssembly.Module;
  readonly run: Run;
  /** Address of the module's bytes in shared memory, 0 if workers are handed the module; undefined until they need it. */
  published: number | undefined;
}

interface Compiled {
  readonly bytes: Uint8Array;
  readonly module: WebAssembly.Module;
}

/** What any backend of this process has compiled, by options and key: whoever opens the next one need not wait for it again. */
const compiled = new Map<string, Compiled>();

/** Instantiates every kernel once per key. */
export class Instances {
  readonly #loaded = new Map<string, LoadedKernel>();
  readonly #memory: WebAssembly.Memory;
  readonly #own: number;
  readonly #options: AssemblerOptions;

  /** `own` is the address of the calling thread's own memory. */
  constructor({ memory, own }: { memory: WebAssembly.Memory; own: number }, options: AssemblerOptions) {
    this.#memory = memory;
    this.#own = own;
    this.#options = options;
  }

  get count(): number {
    return this.#loaded.size;
  }

  /** @throws BackendError when the module does not validate */
  get(kernel: WasmKernel): LoadedKernel {
    let loaded = this.#loaded.get(kernel.key);
    if (loaded === undefined) {
      loaded = this.#load(kernel);
      this.#loaded.set(kernel.key, loaded);
    }
    return loaded;
  }

  #load(kernel: WasmKernel): LoadedKernel {
    try {
      const { relaxed, shared, wide = false } = this.#options;
      const { bytes, module } = memo(compiled, `${[relaxed, shared, wide]} ${kernel.key}`, () => this.#compile(kernel));
      const instance = new WebAssembly.Instance(module, { env: { memory: this.#memory, thread: 0, own: this.#own } });
      const exported = instance.exports.run as Run | undefined;
      if (typeof exported !== "function") throw new Error("it exports no function run");
      const run = wide ? leavingClean(exported) : exported;
      return { name: kernel.name, number: this.#loaded.size, bytes, module, run, published: undefined };
    } catch (error) {
      throw new BackendError(`cpu: ${kernel.name} does not compile: ${String(error)} (kernel ${kernel.key})`);
    }
  }

  #compile(kernel: WasmKernel): Compiled {
    const bytes = kernel.build(this.#options);
    const module = this.#options.wide
      ? compileOptimized(bytes, { merge: true })
      : new WebAssembly.Module(bytes as BufferSource);
    return { bytes, module };
  }
}

/** Whether this engine has relaxed SIMD: Node 22 and newer browsers do. */
export function hasRelaxedSimd(): boolean {
  const f = new Assembler({ relaxed: true, shared: false });
  const acc = f.local("v128");
  f.madd(acc, acc, acc);
  return WebAssembly.validate(f.finish() as BufferSource);
}
