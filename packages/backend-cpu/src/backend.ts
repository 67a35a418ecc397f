import {
  anything,
  type Backend,
  BackendError,
  callable,
  checkOptions,
  flag,
  type OptionRules,
  real,
  type TypedArray,
} from "@dfine/tensor";
import {
  type Binding,
  inOrder,
  type Kernel,
  type Launch,
  memo,
  type Overrides,
  type Slice,
} from "@dfine/tensor/kernel";
import { type CpuBuffer, Runtime } from "./cpuRuntime.ts";
import { isProduct, joining } from "./joining.ts";
import { createOverrides } from "./kernels/index.ts";
import { isWideFaster } from "./kernels/tileCheck.ts";
import { type GeneratedKernel, generate, laneText } from "./print/compile.ts";
import { type LaunchWords, launchWords, layoutWords } from "./print/launchWords.ts";
import { chooseLanes, sumOrders } from "./print/nest.ts";
import type { CpuRuntime } from "./runtime.ts";
import { availableThreads, canShareMemory } from "./threads/spawn.ts";
import { hasRelaxedSimd } from "./wasm/instances.ts";

/** What `cpu` may be told. */
export interface CpuOptions {
  /** Threads, the caller included. Default: what the machine has, at most 8. 1 needs neither workers nor shared memory. */
  readonly threads?: number;
  /** Fused multiply-add where the engine has it (default). Results differ in the last digits from plain SIMD. */
  readonly relaxedSimd?: boolean;
  /**
   * "auto" (default): kernels of twice the width where this machine and engine have them, which is Node 24 and later on
   * x86-64 with AVX2; false: never. No result depends on it. Where this is not said, the environment variable
   * `DFINE_WIDE` decides: "auto" or "off".
   */
  readonly wide?: "auto" | false;
  /** Hand-written kernels of yours, for ops of yours (`defineOp`) or in place of the backend's own. */
  readonly kernels?: (runtime: CpuRuntime) => Overrides;
  /** The memory never grows past this; default and most: 4 GiB. */
  readonly memoryLimitBytes?: number;
}

export interface CpuBackend extends Backend {
  readonly threads: number;
  readonly relaxedSimd: boolean;
  /** Whether kernels run at twice the width of WebAssembly's vectors. */
  readonly wide: boolean;
  /** Kernels compiled so far, generated and hand-written. */
  readonly kernelCount: number;
  /**
   * Resolves once all threads run. Not needed, but in a page no worker starts while the thread that asked for it computes:
   * awaited before the first op, it gives that op all threads. @throws BackendError when the page lets no worker start
   */
  ready(): Promise<void>;
}

const OPTIONS: OptionRules<CpuOptions> = {
  ...{ threads: anything, wide: anything, relaxedSimd: flag, kernels: callable, memoryLimitBytes: real },
};

const MOST_THREADS = 8;
const FOUR_GIBIBYTES = 2 ** 32;
const WORKER_DEADLINE_MILLISECONDS = 30_000;

/**
 * The CPU as a backend: WebAssembly SIMD on one or more threads.
 * @throws BackendError when threads cannot share memory here, ArgumentError for options that there are not
 */
export function cpu(options: CpuOptions = {}): CpuBackend {
  checkOptions("cpu", options, OPTIONS);
  const threads = threadsFor(options.threads);
  const relaxedSimd = options.relaxedSimd !== false && hasRelaxedSimd();
  const wide = wideFor(options.wide) && isWideFaster({ relaxed: relaxedSimd });
  const runtime = new Runtime({
    threads,
    relaxedSimd,
    wide,
    memoryLimitBytes: Math.min(options.memoryLimitBytes ?? FOUR_GIBIBYTES, FOUR_GIBIBYTES),
    deadlineMilliseconds: WORKER_DEADLINE_MILLISECONDS,
  });
  const generated = new Map<Kernel, Map<string, GeneratedKernel>>();
  const laidOut = new WeakMap<object, { plan: GeneratedKernel; words: LaunchWords }>();
  let buffers = 0;

  const pointer = (binding: Binding): number => runtime.pointer(binding);
  const planOf = (kernel: Kernel, { sizes }: Launch): GeneratedKernel => {
    const choice = chooseLanes(kernel, sizes);
    const variants = memo(generated, kernel, () => new Map<string, GeneratedKernel>());
    return memo(variants, laneText(choice), () => generate(kernel, choice));
  };
  const run = (kernel: Kernel, launch: Launch): void => {
    const { plan, words } = memo(laidOut, launch.alike ?? launch, () => {
      const plan = planOf(kernel, launch);
      return { plan, words: layoutWords(plan, launch) };
    });
    const { words: args, units, grain } = words;
    launchWords(plan, { launch, pointer }, args);
    runtime.launch(plan.wasm, { args, units, grain });
  };
  const fusion = joining({
    run,
    orderOf: (kernel, launch) => sumOrders(planOf(kernel, launch).nest),
    free: (buffer) => runtime.free(buffer as CpuBuffer),
  });
  const given = options.kernels?.(runtime) ?? {};

  return {
    name: "cpu",
    details: `${threads} ${threads === 1 ? "thread" : "threads"}, vectors of ${wide ? 256 : 128} bits`,
    floatBits: 32,
    limits: { maxBufferBytes: FOUR_GIBIBYTES, maxBindings: 64 },
    threads,
    relaxedSimd,
    wide,
    overrides: inOrder({ ...createOverrides(runtime), ...given }, fusion, {
      isProduct: (op, variant) => isProduct(op, variant) && !(op in given),
    }),
    get kernelCount() {
      return runtime.kernelCount;
    },
    ready: () => runtime.ready(),
    alloc(length, dtype) {
      const buffer = runtime.alloc(length, dtype);
      buffers++;
      return buffer;
    },
    free(buffer) {
      fusion.free(buffer);
      buffers--;
    },
    write(target, data) {
      runtime.check();
      fusion.flush();
      runtime.written(target.buffer);
      writeSlice(runtime, target, data);
    },
    async read(sources) {
      runtime.check();
      fusion.flush();
      return sources.map((source) => elements(runtime, source).slice());
    },
    run(kernel, launch) {
      runtime.check();
      fusion.run(kernel, launch);
    },
    flush: () => fusion.flush(),
    meter() {
      // Whoever is profiled starts kernels of its own, so that their time is known to be its own.
      fusion.end();
      return runtime.meter();
    },
    memory() {
      fusion.flush();
      return { bytes: runtime.heap.usedBytes, peakBytes: runtime.heap.peakBytes, buffers };
    },
    dispose() {
      runtime.dispose();
      generated.clear();
    },
  };
}

/** Each thread has memory of its own, and more than cores only wait. */
const LARGEST_TEAM = 256;

function threadsFor(asked: number | undefined): number {
  if (asked === undefined) return canShareMemory() ? Math.min(availableThreads(), MOST_THREADS) : 1;
  if (!Number.isInteger(asked) || asked < 1 || asked > LARGEST_TEAM)
    throw new BackendError(`cpu: threads must be a whole number from 1 to ${LARGEST_TEAM}, got ${asked}`);
  if (asked > 1 && !canShareMemory())
    throw new BackendError(
      `cpu: ${asked} threads need shared memory, which this page may not have: serve it cross-origin isolated, or use threads: 1`,
    );
  return asked;
}

function wideFor(asked: CpuOptions["wide"]): boolean {
  const variable = globalThis.process?.env?.DFINE_WIDE ?? "";
  if (!["", "auto", "off"].includes(variable))
    throw new BackendError(`cpu: the environment variable DFINE_WIDE is "${variable}"; it takes auto or off`);
  if (asked !== undefined && asked !== "auto" && asked !== false)
    throw new BackendError(`cpu: wide is ${JSON.stringify(asked)}; it takes "auto" or false`);
  return asked === undefined ? variable !== "off" : asked === "auto";
}

/** A view of a slice's elements, good until memory grows. */
function elements(runtime: Runtime, { buffer, offset, length }: Slice): Float32Array | Int32Array {
  const first = runtime.pointer({ buffer, offset }) / 4;
  const heap = buffer.dtype === "f32" ? runtime.heapF32() : runtime.heapI32();
  return heap.subarray(first, first + length);
}

function writeSlice(runtime: Runtime, target: Slice, data: TypedArray): void {
  if (data.length !== target.length)
    throw new BackendError(`cpu: ${data.length} values do not fill a slice of ${target.length}`);
  elements(runtime, target).set(data);
}
