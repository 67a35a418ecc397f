import { type Backend, BackendError, checkOptions, type Dtype, type TypedArray } from "@dfine/tensor";
import { type KernelTime, kernelTable, Profiler } from "./commands/profiler.ts";
import { CommandQueue } from "./commands/queue.ts";
import { readerOf } from "./commands/reads.ts";
import { environment } from "./device/environment.ts";
import { Faults } from "./device/faults.ts";
import { type Counters, newCounters } from "./device/gpu.ts";
import { type OpenDevice, openDevice, openHardware } from "./device/openDevice.ts";
import { FIRST_PACE, type Pace, rememberLoss, WorkLimits } from "./device/workLimits.ts";
import { createOverrides } from "./kernels/index.ts";
import { remembering } from "./kernels/remembered.ts";
import type { GpuRuntime, MetProduct, Products } from "./kernels/runtime.ts";
import type { GpuBuffer } from "./memory/gpuBuffer.ts";
import { Pool } from "./memory/pool.ts";
import { WEBGPU_OPTIONS, type WebGpuOptions } from "./options.ts";
import { launcherOf, QUAD_VISITS } from "./print/launch.ts";
import { longRows } from "./print/longRows.ts";
import { GPU, SOFTWARE } from "./swiftshader/tuning.ts";
import type { TunedChoices } from "./tuner/choices.ts";
import { keeping } from "./tuner/keeping.ts";
import { measurer } from "./tuner/measurer.ts";
import { Tuner } from "./tuner/tuner.ts";
import { Waiting } from "./waiting/waiting.ts";

export interface WebGpuBackend extends Backend {
  readonly adapterName: string;
  readonly software: boolean;
  readonly features: ReadonlySet<string>;
  /** As they are now. */
  readonly counters: Readonly<Counters>;
  /** The device, to be lost on purpose. */
  readonly device: {
    /** Loses the device. */
    destroy(): void;
  };
  /** Does nothing where `compileAhead` is off. @throws BackendError for a kernel that is not valid, DeviceLostError */
  precompile(work: () => void): Promise<void>;
  /** What is known of products' kernels: given, read from the cache folder, measured. */
  readonly choices: TunedChoices;
  /** Kernels by time on the device, or by count where it tells no times; empty unless `trace` was asked for. */
  kernelTimes(): Promise<readonly KernelTime[]>;
}

const TUNING_SECONDS = 30;
const STAGING_BYTES = 2 ** 26;
const LEAST_STAGING = 256;

/**
 * The GPU as a backend: `navigator.gpu` in browsers, Dawn in Node.
 * @throws BackendError when there is no adapter, with what was found and how to install a driver; ArgumentError for options
 * that there are not
 */
export async function webgpu(options: WebGpuOptions = {}): Promise<WebGpuBackend> {
  checkOptions("webgpu", options, WEBGPU_OPTIONS);
  return onDevice(await openDevice(), options);
}

/**
 * `webgpu` on hardware; undefined where there is no adapter.
 * @throws BackendError for an adapter that cannot be used, or that computes in software; ArgumentError as `webgpu`
 */
export async function hardwareWebgpu(options: WebGpuOptions = {}): Promise<WebGpuBackend | undefined> {
  checkOptions("webgpu", options, WEBGPU_OPTIONS);
  const open = await openHardware();
  return open && onDevice(open, options);
}

function onDevice(open: OpenDevice, options: WebGpuOptions): WebGpuBackend {
  const { disable, trace, report } = environment();
  const { backend } = makeBackend(open, { disable, trace, ...keeping(open, options, report), ...options });
  if (!trace || options.trace !== undefined) return backend;
  // The same backend, which lists its kernels before it is disposed.
  const dispose = async (): Promise<void> => {
    try {
      report(kernelTable(await backend.kernelTimes()));
    } finally {
      backend.dispose();
    }
  };
  return Object.create(backend, { dispose: { value: () => void dispose() } });
}

/** What only the package itself asks for. */
interface OwnOptions extends WebGpuOptions {
  /** Told of all choices after something was measured. */
  readonly onChoices?: (choices: TunedChoices) => unknown;
  /** False: nothing is put off or joined. */
  readonly waits?: boolean;
  /** In place of those that were measured, and of what the adapter offers. */
  readonly products?: Partial<Pick<Products, "choiceOf"> & Products["device"]>;
}

/** A backend on an open device, and what its hand-written kernels run on. @throws BackendError for what it lacks */
export function makeBackend(open: OpenDevice, options: OwnOptions): { backend: WebGpuBackend; runtime: GpuRuntime } {
  const { device, adapterName, software, features } = open;
  const tuning = software ? SOFTWARE : GPU;
  const faults = new Faults(device, adapterName);
  const profiler = options.trace ? new Profiler(device, { timestamps: features.has("timestamp-query") }) : undefined;
  const stagingBytes = Math.max(LEAST_STAGING, options.stagingBytes ?? STAGING_BYTES);
  const pieceBytes = Math.min(stagingBytes - (stagingBytes % 4), device.limits.maxBufferSize);
  const counters = newCounters();
  const gpu = { device, faults, counters, pieceBytes };
  const limits = new WorkLimits(open.identity, firstPace(open, options));
  void device.lost.then(({ reason }) => reason !== "destroyed" && rememberLoss(open.identity));
  const maxBufferBytes = Math.min(device.limits.maxBufferSize, device.limits.maxStorageBufferBindingSize);
  const bindingLimit = device.limits.maxStorageBuffersPerShaderStage;
  const maxBindings = Math.min(options.maxBindings ?? bindingLimit, bindingLimit);
  const queue = new CommandQueue(gpu, { profiler, limits, maxBindings });
  const pool = new Pool({
    ...gpu,
    maxBufferBytes,
    limitBytes: options.memoryLimitBytes ?? Number.POSITIVE_INFINITY,
    flush: () => queue.flush(),
    whenUnused: (block, give) => queue.whenUnused(block, give),
    onDestroy: () => queue.pipelines.forgetBindGroups(),
  });
  const read = readerOf(gpu, queue);
  const barriers = options.barriers ?? tuning.barriers;
  const plain = launcherOf({
    queue,
    pool,
    maxBindings,
    limits,
    barriers,
    quadVisits: options.quadVisits ?? QUAD_VISITS,
  });
  const { busyGroups } = tuning;
  const launcher = barriers ? longRows({ launcher: plain, pool, busyGroups }) : plain;
  const waiting = new Waiting({ queue, pool, limits, maxBindings, barriers, launcher });
  if (options.waits === false) waiting.end();
  const tunes = options.tuning === "measured";
  const compileAhead = options.compileAhead ?? (tuning.compileAhead || tunes);
  const tuner = new Tuner({
    ...{ adapter: open.identity, known: options.choices, onChoices: options.onChoices },
    seconds: options.tuningSeconds ?? TUNING_SECONDS,
  });
  if (options.halfFactors && !features.has("shader-f16"))
    throw new BackendError(`webgpu: halfFactors needs "shader-f16", which ${adapterName} does not offer`);
  const products: Products = {
    device: {
      ...{ software, features, subgroupSize: open.subgroupSize, operands: options.halfFactors ? "f16" : "f32" },
      workgroupBytes: device.limits.maxComputeWorkgroupStorageSize,
      workgroupThreads: device.limits.maxComputeInvocationsPerWorkgroup,
      ...options.products,
    },
    choiceOf: options.products?.choiceOf ?? ((name) => tuner.choiceOf(name)),
    get onProduct() {
      return tunes && queue.rehearsing ? (met: MetProduct) => tuner.meet(met) : undefined;
    },
  };
  const { runtime, remembered, forget } = remembering(
    { queue, pool, folds: waiting.sums, check: () => faults.check() },
    { tuning, features, limits, products },
  );

  const measured = measurer({
    ...{ gpu, queue, runtime, limits, read, pool },
    timestamps: !options.trace && features.has("timestamp-query"),
    isPaceKnown: software || options.visitsPerDispatch !== undefined,
    tuner: tunes ? tuner : undefined,
    onMeasured: forget,
  });

  const given = options.kernels?.(runtime) ?? {};
  const backend: WebGpuBackend = {
    name: "webgpu",
    floatBits: 32,
    limits: { maxBufferBytes, maxBindings },
    adapterName,
    software,
    features,
    device,
    overrides: Object.fromEntries(
      Object.entries(
        waiting.inOrder(
          { ...remembered(createOverrides(runtime)), ...given },
          (op) => op === "matmul" && !(op in given),
        ),
      ).filter(([op]) => !options.disable?.includes(op)),
    ),
    get counters() {
      return { ...counters };
    },
    alloc(length, dtype) {
      faults.check();
      return pool.alloc(length, dtype);
    },
    free: (buffer) => waiting.free(buffer),
    write({ buffer, offset, length }, data) {
      faults.check();
      if (data.length !== length)
        throw new BackendError(`webgpu: ${data.length} values do not fill a slice of ${length}`);
      waiting.settle();
      if (length > 0) queue.write((buffer as GpuBuffer).block, offset * 4, wordsFor(buffer.dtype, data));
    },
    async read(sources) {
      faults.check();
      waiting.settle();
      return read(sources);
    },
    run(kernel, call) {
      faults.check();
      waiting.launch(kernel, call);
    },
    flush() {
      faults.check();
      waiting.settle();
      queue.flush();
    },
    meter() {
      // Whoever is profiled starts kernels of its own, so that their time is known to be its own.
      waiting.end();
      return {
        get launches() {
          return counters.dispatches + counters.copies;
        },
        milliseconds: undefined,
        waiting: 0,
        clock: profiler?.clock(() => queue.flush()),
      };
    },
    memory() {
      waiting.settle();
      queue.release();
      return pool.memory();
    },
    get choices() {
      return tuner.choices;
    },
    async precompile(work) {
      if (!compileAhead) return;
      waiting.settle();
      queue.flush();
      const result = queue.rehearse<unknown>(() => {
        const given: unknown = work();
        waiting.settle();
        return given;
      });
      if (result instanceof Promise) {
        // Its error is less than that it is a promise.
        result.catch(() => undefined);
        throw new BackendError(
          "webgpu: precompile rehearses work that returns at once; this returned a promise, and what followed its first await ran after the rehearsal",
        );
      }
      await queue.pipelines.whenPrepared();
      await faults.settle();
      await measured();
    },
    kernelTimes: async () => {
      queue.flush();
      return (await profiler?.times()) ?? [];
    },
    dispose() {
      faults.dispose();
      device.destroy();
    },
  };
  return { backend, runtime };
}

/** Work in a tenth of a second, as `visitsPerDispatch` asks or as the kind of adapter lets expect. */
function firstPace({ kind }: OpenDevice, { visitsPerDispatch }: WebGpuOptions): Pace {
  if (visitsPerDispatch === undefined) return FIRST_PACE[kind];
  return { products: 10 * visitsPerDispatch, visits: 10 * visitsPerDispatch };
}

/** The values as the device stores them. */
function wordsFor(dtype: Dtype, data: TypedArray): Float32Array | Int32Array {
  if (dtype === "f32") return data instanceof Float32Array ? data : Float32Array.from(data);
  return data instanceof Int32Array ? data : Int32Array.from(data);
}
